import { createHash } from 'node:crypto';
import type { OnApplicationShutdown } from '@nestjs/common';
import { RateLimiterMemory, RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible';
import type { ProblemCode } from '#contracts';
import type { RedisConnection } from '#redis';
import { openRedis, ProblemException, type Readiness } from '#service';
import type { AuthSettings } from './auth.settings.js';

/** Many people may share one network address: it may make this many times the attempts of one e-mail address. */
const ADDRESS_FACTOR = 10;
const HOUR_MS = 3_600_000;

type LimitSettings = Pick<AuthSettings, 'REDIS_URL' | 'LOGIN_ATTEMPTS' | 'LOGIN_WINDOW_MS' | 'REGISTRATIONS_PER_HOUR'>;

/**
 * Limits logins and registrations. Redis counts for all processes together; while it is down, each process counts for
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
   * Runs one login attempt, which returns `undefined` when it fails. Counts it before it runs and uncounts a success, so
   * that concurrent guesses cannot exceed the limit. A success also clears earlier failures.
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
    const uncount = () => Promise.all([this.loginsOfPair.reward(pair), this.loginsOfAddress.reward(address)]);
    const result = await attempt().catch(async (error: unknown) => {
      // The password was neither right nor wrong: the server failed, not the caller.
      await uncount();
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

/** Hashed, so that Redis holds no e-mail addresses. */
function pairKey(address: string, email: string): string {
  return createHash('sha256').update(`${address} ${email}`).digest('base64url');
}

async function take(limiter: RateLimiterRedis, key: string, code: ProblemCode): Promise<void> {
  try {
    await limiter.consume(key);
  } catch (refusal) {
    if (!(refusal instanceof RateLimiterRes)) throw refusal;
    throw new ProblemException(code, 'Try again after Retry-After.', { retryAfterMs: refusal.msBeforeNext });
  }
}
