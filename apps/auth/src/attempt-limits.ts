import { createHash } from 'node:crypto';
import type { OnApplicationShutdown } from '@nestjs/common';
import { RateLimiterMemory, RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible';
import type { ProblemCode } from '#contracts';
import type { RedisConnection } from '#redis';
import { openRedis, ProblemException, type Readiness } from '#service';
import type { AuthSettings } from './auth.settings.js';
import { networkOf } from './network-of.js';

/** Many people may share one network: it may make this many times the attempts of one e-mail address. */
const NETWORK_FACTOR = 10;
const HOUR_MS = 3_600_000;

type LimitSettings = Pick<
  AuthSettings,
  'REDIS_URL' | 'LOGIN_ATTEMPTS' | 'LOGIN_WINDOW_MS' | 'LOGIN_FAILURES_PER_HOUR' | 'REGISTRATIONS_PER_HOUR'
>;

export interface LoginAttempt {
  address: string;
  email: string;
  /** Of a device that has logged in to the account before. */
  deviceId?: string | undefined;
  /** Called for the first attempt that a limit refuses, not for those after it. */
  onLocked?: () => Promise<void>;
}

/** One count that an attempt takes from. */
interface Count {
  limiter: RateLimiterRedis;
  key: string;
  /** A success clears earlier failures, instead of only not counting itself. */
  isClearedBySuccess: boolean;
}

/**
 * Limits logins and registrations. Redis counts for all processes together; while it is down, each process counts for
 * itself. An e-mail address without an account is limited in the same way, so that a limit reveals no account.
 *
 * A login is counted by e-mail address and network, by network, and by e-mail address alone. The last count would let
 * an attacker lock an account: a device that has logged in before has a count of its own instead of all three.
 */
export class AttemptLimits implements OnApplicationShutdown {
  private readonly redis: RedisConnection;
  private readonly failuresOfPair: RateLimiterRedis;
  private readonly failuresOfNetwork: RateLimiterRedis;
  private readonly failuresOfEmail: RateLimiterRedis;
  private readonly failuresOfDevice: RateLimiterRedis;
  private readonly failuresOfCaller: RateLimiterRedis;
  private readonly registrations: RateLimiterRedis;
  private readonly resets: RateLimiterRedis;

  constructor(settings: LimitSettings, readiness: Readiness) {
    this.redis = openRedis({ url: settings.REDIS_URL, use: 'attempt limits' });
    // Not required: without Redis each process counts for itself.
    readiness.prefer('redis', async () => {
      await this.redis.ping();
      return undefined;
    });
    const { LOGIN_ATTEMPTS: points, LOGIN_WINDOW_MS: windowMs, LOGIN_FAILURES_PER_HOUR: perHour } = settings;
    this.failuresOfPair = this.limiter({ name: 'logins:pair', points, windowMs });
    this.failuresOfDevice = this.limiter({ name: 'logins:device', points, windowMs });
    this.failuresOfCaller = this.limiter({ name: 'logins:caller', points, windowMs });
    this.failuresOfNetwork = this.limiter({ name: 'logins:network', points: points * NETWORK_FACTOR, windowMs });
    this.failuresOfEmail = this.limiter({ name: 'logins:email', points: perHour, windowMs: HOUR_MS });
    this.resets = this.limiter({ name: 'resets', points: points * NETWORK_FACTOR, windowMs });
    const registrations = { points: settings.REGISTRATIONS_PER_HOUR, windowMs: HOUR_MS };
    this.registrations = this.limiter({ name: 'registrations', ...registrations });
  }

  onApplicationShutdown(): void {
    this.redis.disconnect();
  }

  /**
   * Runs one login attempt, which returns `undefined` when it fails.
   * @throws ProblemException too_many_attempts
   */
  login<Result>(
    { address, email, deviceId, onLocked }: LoginAttempt,
    attempt: () => Promise<Result | undefined>,
  ): Promise<Result | undefined> {
    const network = networkOf(address);
    const counts: Count[] =
      deviceId === undefined
        ? [
            { limiter: this.failuresOfPair, key: hashed(`${network} ${email}`), isClearedBySuccess: true },
            { limiter: this.failuresOfNetwork, key: network, isClearedBySuccess: false },
            { limiter: this.failuresOfEmail, key: hashed(email), isClearedBySuccess: false },
          ]
        : [{ limiter: this.failuresOfDevice, key: deviceId, isClearedBySuccess: true }];
    return countFailures(counts, attempt, onLocked);
  }

  /**
   * Runs one check of the password of an account that is logged in: a stolen token must not allow guesses.
   * @throws ProblemException too_many_attempts
   */
  reauthentication<Result>(accountId: string, attempt: () => Promise<Result | undefined>): Promise<Result | undefined> {
    return countFailures([{ limiter: this.failuresOfCaller, key: accountId, isClearedBySuccess: true }], attempt);
  }

  /**
   * Runs one use of a reset token. A failed one counts: it leaves an event in the security log.
   * @throws ProblemException too_many_attempts
   */
  async passwordReset(address: string, attempt: () => Promise<void>): Promise<void> {
    const key = networkOf(address);
    await take({ limiter: this.resets, key }, 'too_many_attempts');
    await attempt();
    await this.resets.reward(key);
  }

  /** @throws ProblemException too_many_requests */
  async registration(address: string): Promise<void> {
    await take({ limiter: this.registrations, key: networkOf(address) }, 'too_many_requests');
  }

  private limiter({ name, points, windowMs }: { name: string; points: number; windowMs: number }): RateLimiterRedis {
    const limit = { keyPrefix: name, points, duration: Math.ceil(windowMs / 1000) };
    return new RateLimiterRedis({ ...limit, storeClient: this.redis, insuranceLimiter: new RateLimiterMemory(limit) });
  }
}

/**
 * Counts an attempt before it runs and uncounts it unless it fails, so that concurrent guesses cannot exceed a limit.
 * @throws ProblemException too_many_attempts
 */
async function countFailures<Result>(
  counts: readonly Count[],
  attempt: () => Promise<Result | undefined>,
  onLocked?: () => Promise<void>,
): Promise<Result | undefined> {
  const taken: Count[] = [];
  const uncount = () => Promise.all(taken.map(({ limiter, key }) => limiter.reward(key)));
  let result: Result | undefined;
  try {
    for (const count of counts) {
      await take(count, 'too_many_attempts', onLocked);
      taken.push(count);
    }
    result = await attempt();
  } catch (error) {
    // The password was neither right nor wrong: a limit is reached, or the server failed.
    await uncount();
    throw error;
  }
  if (result === undefined) return undefined;
  await Promise.all(
    taken.map(({ limiter, key, isClearedBySuccess }) =>
      isClearedBySuccess ? limiter.delete(key) : limiter.reward(key),
    ),
  );
  return result;
}

/** Redis holds no e-mail addresses. */
function hashed(key: string): string {
  return createHash('sha256').update(key).digest('base64url');
}

async function take(
  { limiter, key }: Pick<Count, 'limiter' | 'key'>,
  code: ProblemCode,
  onFirstRefusal?: () => Promise<void>,
): Promise<void> {
  try {
    await limiter.consume(key);
  } catch (refusal) {
    if (!(refusal instanceof RateLimiterRes)) throw refusal;
    if (refusal.consumedPoints === limiter.points + 1) await onFirstRefusal?.();
    throw new ProblemException(code, 'Try again after Retry-After.', { retryAfterMs: refusal.msBeforeNext });
  }
}
