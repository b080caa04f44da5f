import { createHash } from 'node:crypto';
import type { OnApplicationShutdown } from '@nestjs/common';
import { RateLimiterMemory, RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible';
import type { ProblemCode } from '#contracts';
import type { RedisConnection } from '#redis';
import { openRedis, ProblemException, type Readiness } from '#service';
import type { AuthSettings } from './auth.settings.js';

/** One address may stand for many people: it gets this many times the attempts of one e-mail address. */
const ADDRESS_FACTOR = 10;
const HOUR_MS = 3_600_000;

type LimitSettings = Pick<AuthSettings, 'REDIS_URL' | 'LOGIN_ATTEMPTS' | 'LOGIN_WINDOW_MS' | 'REGISTRATIONS_PER_HOUR'>;

/**
 * How often one may try. Counted in Redis, for all processes together; while Redis is down each process counts for
 * itself.
 */
export class AttemptLimits implements OnApplicationShutdown {
  private readonly redis: RedisConnection;
  private readonly loginsOfPair: RateLimiterRedis;
  private readonly loginsOfAddress: RateLimiterRedis;
  private readonly registrations: RateLimiterRedis;

  constructor(settings: LimitSettings, readiness: Readiness) {
    this.redis = openRedis({ url: settings.REDIS_URL, use: 'attempt limits' });
    readiness.require('redis', async () => {
      await this.redis.ping();
      return undefined;
    });
    const { LOGIN_ATTEMPTS: attempts, LOGIN_WINDOW_MS: windowMs } = settings;
    this.loginsOfPair = this.limiter({ name: 'logins:pair', points: attempts, windowMs });
    this.loginsOfAddress = this.limiter({ name: 'logins:address', points: attempts * ADDRESS_FACTOR, windowMs });
    const perHour = { points: settings.REGISTRATIONS_PER_HOUR, windowMs: HOUR_MS };
    this.registrations = this.limiter({ name: 'registrations', ...perHour });
  }

  onApplicationShutdown(): void {
    this.redis.disconnect();
  }

  /**
   * Runs one login attempt, which answers `undefined` when it fails. It is counted before it runs and given back when
   * it succeeds: guesses sent all at once cannot slip past the limit. A success also forgives the failures before.
   * @throws ProblemException too_many_attempts
   */
  async login<Result>(
    { address, email }: { address: string; email: string },
    attempt: () => Promise<Result | undefined>,
  ): Promise<Result | undefined> {
    const pair = pairKey(address, email);
    await take(this.loginsOfPair, pair, 'too_many_attempts');
    try {
      await take(this.loginsOfAddress, address, 'too_many_attempts');
    } catch (error) {
      await this.loginsOfPair.reward(pair);
      throw error;
    }
    const giveBack = () => Promise.all([this.loginsOfPair.reward(pair), this.loginsOfAddress.reward(address)]);
    const result = await attempt().catch(async (error: unknown) => {
      // Neither right nor wrong: it was not this caller who failed.
      await giveBack();
      throw error;
    });
    if (result === undefined) return undefined;
    await Promise.all([this.loginsOfPair.delete(pair), this.loginsOfAddress.reward(address)]);
    return result;
  }

  /** @throws ProblemException too_many_requests */
  async registration(address: string): Promise<void> {
    await take(this.registrations, address, 'too_many_requests');
  }

  private limiter({ name, points, windowMs }: { name: string; points: number; windowMs: number }): RateLimiterRedis {
    const limit = { keyPrefix: name, points, duration: Math.ceil(windowMs / 1000) };
    return new RateLimiterRedis({ ...limit, storeClient: this.redis, insuranceLimiter: new RateLimiterMemory(limit) });
  }
}

/** Hashed: e-mail addresses are of no business to whoever looks into Redis. */
function pairKey(address: string, email: string): string {
  return createHash('sha256').update(`${address} ${email}`).digest('base64url');
}

async function take(limiter: RateLimiterRedis, key: string, code: ProblemCode): Promise<void> {
  try {
    await limiter.consume(key);
  } catch (refusal) {
    if (!(refusal instanceof RateLimiterRes)) throw refusal;
    throw new ProblemException(code, 'Wait before trying again.', { retryAfterMs: refusal.msBeforeNext });
  }
}
