import Bottleneck from 'bottleneck';
import { Redis } from 'ioredis';
import {
  type IRateLimiterOptions,
  type RateLimiterAbstract,
  RateLimiterMemory,
  RateLimiterRedis,
  RateLimiterUnion,
} from 'rate-limiter-flexible';
import {
  type LimitedPolicy,
  limitOf,
  openQuotaRedis,
  periodMsOf,
  type ProviderOptions,
  Quota,
  type Settlement,
} from '#quota';
import type { RedisConnection } from '#redis';

export type Unit = 'requests' | 'tokens';

/** A provider account. */
export interface Account {
  provider: string;
  policy: LimitedPolicy;
  /** What the policy counts. Default: requests. */
  unit?: Unit;
  /** Further limits. */
  others?: readonly LimitedPolicy[];
  timeoutMs: number;
}

export interface Setup extends Account {
  redisUrl: string;
  budgetMs: number;
  pods: number;
}

/**
 * All limits of an account, named by their policies, of which no account has two of one kind; the policy of the account is the
 * last. One of tokens is named so.
 */
export function quotasOf({
  policy,
  unit,
  others = [],
}: Account): { name: string; policy: LimitedPolicy; unit?: Unit }[] {
  const last = unit === 'tokens' ? { name: unit, policy, unit } : { name: policy.policy, policy };
  return [...others.map((limit) => ({ name: limit.policy, policy: limit })), last];
}

function optionsOf(account: Account): ProviderOptions {
  const { provider: name, policy, unit, others = [], timeoutMs } = account;
  return others.length === 0 && unit !== 'tokens'
    ? { name, policy, timeoutMs }
    : { name, quotas: quotasOf(account), timeoutMs };
}

/** Decides for each message whether it may be sent to the free provider. */
export interface Limiter {
  /** Resolves when the limiter can decide. */
  ready: () => Promise<void>;
  /**
   * Undefined: do not send. Otherwise call the function with the outcome of the send.
   * @param tokens an estimate, where the policy counts tokens
   */
  ask: (tokens?: number) => Promise<((settlement: Settlement) => void) | undefined>;
  /** Redis round trips since `ready`; undefined if the limiter does not count them. */
  trips: () => number | undefined;
  close: () => Promise<void>;
}

/** Octo's quota engine, and what it is compared with. */
export const LIMITERS = {
  octo,
  'rate-limiter-flexible': rateLimiterFlexible,
  Bottleneck: bottleneck,
  'N / pods': shareEach,
} as const satisfies Record<string, (setup: Setup) => Limiter>;
export type LimiterName = keyof typeof LIMITERS;

/** Makes the provider known to Octo before the first message: a missing count then means a lost count. */
export async function provision(redisUrl: string, account: Account): Promise<void> {
  const redis = new Redis(redisUrl);
  const quota = new Quota({ redis, providers: [optionsOf(account)] });
  for (const name of quota.names) await quota.provision(name);
  await redis.quit();
}

function octo({ redisUrl, budgetMs, ...account }: Setup): Limiter {
  const { provider } = account;
  const redis = openQuotaRedis(redisUrl);
  redis.on('error', () => {});
  const quota = new Quota({ redis, providers: [optionsOf(account)], budgetMs });
  let tripsBefore = 0;
  return {
    ready: async () => {
      await untilReady(redis);
      // The first call is slow: it must not count as part of the measurement.
      await quota.state(provider);
      tripsBefore = quota.trips;
    },
    ask: async (tokens) => {
      const reservation = await quota.reserve(provider, tokens === undefined ? undefined : { tokens });
      if (!reservation.granted) return undefined;
      return (settlement) => quota.settle(reservation.permit, settlement);
    },
    trips: () => quota.trips - tripsBefore,
    close: async () => {
      await quota.close();
      redis.disconnect();
    },
  };
}

/** All pods share one Redis, and the first request starts the window, as far as the library can do that. */
function rateLimiterFlexible({ redisUrl, provider, ...account }: Setup): Limiter {
  const redis = new Redis(redisUrl, { enableOfflineQueue: false, maxRetriesPerRequest: 0 });
  redis.on('error', () => {});
  const limiters = [...(account.others ?? []), account.policy].map(
    (policy) => new RateLimiterRedis({ storeClient: redis, ...limiterOptions(policy, { pods: 1 }) }),
  );
  const limiter = unionOf(limiters);
  let trips = 0;
  return {
    ...UNCOUNTED,
    ready: () => untilReady(redis),
    ask: (tokens) => {
      trips += 1;
      return consume(limiter, provider, tokens, () => (trips += 1));
    },
    trips: () => trips,
    close: () => {
      redis.disconnect();
      return Promise.resolve();
    },
  };
}

/** Nothing is shared: each pod has its fixed part of the limit. */
function shareEach({ provider, policy, others = [], pods }: Setup): Limiter {
  const limiter = unionOf([...others, policy].map((limit) => new RateLimiterMemory(limiterOptions(limit, { pods }))));
  return { ...UNCOUNTED, ask: (tokens) => consume(limiter, provider, tokens), trips: () => 0 };
}

const UNCOUNTED = {
  ready: () => Promise.resolve(),
  trips: () => undefined,
  close: () => Promise.resolve(),
};

/**
 * The closest settings that rate-limiter-flexible has. Count-then-block: points that never expire, and a block of T once
 * they are exceeded. Sliding window: a fixed window of the same length. Token bucket: the refill of one second as the
 * limit of each second, which keeps the long-run rate and gives up the first full bucket.
 */
function limiterOptions(policy: LimitedPolicy, { pods }: { pods: number }): IRateLimiterOptions {
  switch (policy.policy) {
    case 'count-then-block':
      return {
        keyPrefix: policy.policy,
        points: Math.floor(policy.limit / pods),
        duration: 0,
        blockDuration: policy.blockMs / 1_000,
      };
    case 'token-bucket':
      return { keyPrefix: policy.policy, points: Math.floor(policy.refillPerSecond / pods), duration: 1 };
    default:
      return {
        keyPrefix: policy.policy,
        points: Math.floor(policy.limit / pods),
        duration: periodMsOf(policy) / 1_000,
      };
  }
}

/** The library's way to have several limits. */
function unionOf(limiters: RateLimiterAbstract[]): Pick<RateLimiterUnion, 'consume'> | RateLimiterAbstract {
  const [only, ...others] = limiters;
  return only !== undefined && others.length === 0 ? only : new RateLimiterUnion(...limiters);
}

/** Of tokens the difference to the estimate is given back or charged, as far as the library can do that: not for several limits. */
function consume(
  limiter: ReturnType<typeof unionOf>,
  key: string,
  tokens?: number,
  onTrip = (): void => {},
): ReturnType<Limiter['ask']> {
  const settle = (settlement: Settlement): void => {
    const { tokens: used } = ('used' in settlement && settlement.used) || {};
    if (tokens === undefined || used === undefined || !('reward' in limiter)) return;
    onTrip();
    // What fails here is a limit counted wrongly, which the provider's log shows.
    const change = used < tokens ? limiter.reward(key, tokens - used) : limiter.penalty(key, used - tokens);
    change.catch(() => {});
  };
  return limiter.consume(key, tokens).then(
    () => settle,
    () => undefined,
  );
}

/**
 * Clustering over ioredis as its documentation shows it: a reservoir that is refreshed every T, or increased once a second
 * for a token bucket. No queue: a job that cannot run at once is dropped, because the message goes to the paid provider.
 */
function bottleneck({ redisUrl, provider, policy }: Setup): Limiter {
  const redis = new Redis(redisUrl);
  redis.on('error', () => {});
  const connection = new Bottleneck.IORedisConnection({ client: redis });
  const limiter = new Bottleneck({
    id: provider,
    connection,
    ...reservoirOf(policy),
    highWater: 0,
    strategy: Bottleneck.strategy.OVERFLOW,
  });
  return {
    ...UNCOUNTED,
    ready: async () => {
      await limiter.ready();
    },
    ask: () =>
      limiter
        .schedule(() => Promise.resolve(() => {}))
        .catch((error: unknown) => {
          if (error instanceof Bottleneck.BottleneckError) return undefined;
          throw error;
        }),
    close: () => limiter.disconnect(false),
  };
}

function reservoirOf(policy: LimitedPolicy): Bottleneck.ConstructorOptions {
  if (policy.policy === 'token-bucket') {
    return {
      reservoir: policy.capacity,
      reservoirIncreaseAmount: policy.refillPerSecond,
      reservoirIncreaseInterval: 1_000,
      reservoirIncreaseMaximum: policy.capacity,
    };
  }
  return {
    reservoir: limitOf(policy),
    reservoirRefreshAmount: limitOf(policy),
    reservoirRefreshInterval: periodMsOf(policy),
  };
}

function untilReady(redis: Pick<RedisConnection, 'status' | 'once'>): Promise<void> {
  return new Promise((resolve) => {
    if (redis.status === 'ready') resolve();
    else redis.once('ready', () => resolve());
  });
}
