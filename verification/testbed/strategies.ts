import Bottleneck from 'bottleneck';
import { Redis } from 'ioredis';
import { type IRateLimiterOptions, RateLimiterMemory, RateLimiterRedis } from 'rate-limiter-flexible';
import { type LimitedPolicy, limitOf, openQuotaRedis, periodMsOf, Quota, type Settlement } from '#quota';
import type { RedisConnection } from '#redis';

export interface Setup {
  redisUrl: string;
  provider: string;
  policy: LimitedPolicy;
  timeoutMs: number;
  budgetMs: number;
  pods: number;
}

/** A way to decide, message by message, whether the free provider may be asked. */
export interface Strategy {
  /** Resolves when the first message may come. */
  ready: () => Promise<void>;
  /** Undefined: do not send. Otherwise tell afterwards what became of it. */
  ask: () => Promise<((settlement: Settlement) => void) | undefined>;
  /** Redis round trips since it was ready; undefined where nobody can tell. */
  trips: () => number | undefined;
  /** Trips made by callers that could have known that the provider is blocked. */
  tripsWhileBlocked: () => number;
  close: () => Promise<void>;
}

export const STRATEGIES = {
  octo,
  'rate-limiter-flexible': rateLimiterFlexible,
  Bottleneck: bottleneck,
  'N / pods': shareEach,
} as const satisfies Record<string, (setup: Setup) => Strategy>;
export type StrategyName = keyof typeof STRATEGIES;

function octo({ redisUrl, provider, policy, timeoutMs, budgetMs }: Setup): Strategy {
  const redis = openQuotaRedis(redisUrl);
  redis.on('error', () => {});
  const quota = new Quota({ redis, providers: [{ name: provider, policy, timeoutMs }], budgetMs });
  let tripsBefore = 0;
  let tripsWhileBlocked = 0;
  let knownBlockedUntilMs = 0;
  return {
    ready: async () => {
      await untilReady(redis);
      // Whoever was never called is slow: a pod is not measured while it starts.
      await quota.state(provider);
      tripsBefore = quota.trips;
    },
    ask: async () => {
      const nowMs = performance.now();
      const isKnown = nowMs < knownBlockedUntilMs;
      const tripsAtFirst = quota.trips;
      const reservation = await quota.reserve(provider);
      // What is answered from memory is answered before anything else can happen.
      if (isKnown && !reservation.granted) tripsWhileBlocked += quota.trips - tripsAtFirst;
      if (reservation.granted) return (settlement) => quota.settle(reservation.permit, settlement);
      if (reservation.reason === 'blocked') knownBlockedUntilMs = nowMs + reservation.waitMs;
      return undefined;
    },
    trips: () => quota.trips - tripsBefore,
    tripsWhileBlocked: () => tripsWhileBlocked,
    close: async () => {
      await quota.close();
      redis.disconnect();
    },
  };
}

/** One Redis for all, and one window that begins with the first request, or what comes closest. */
function rateLimiterFlexible({ redisUrl, provider, policy }: Setup): Strategy {
  const redis = new Redis(redisUrl, { enableOfflineQueue: false, maxRetriesPerRequest: 0 });
  redis.on('error', () => {});
  const limiter = new RateLimiterRedis({ storeClient: redis, ...limiterOptions(policy, { pods: 1 }) });
  let trips = 0;
  return {
    ...NOTHING_TO_TELL,
    ready: () => untilReady(redis),
    ask: () => {
      trips += 1;
      return consume(limiter, provider);
    },
    trips: () => trips,
    close: () => {
      redis.disconnect();
      return Promise.resolve();
    },
  };
}

/** Without anything shared: each pod keeps to its part. */
function shareEach({ provider, policy, pods }: Setup): Strategy {
  const limiter = new RateLimiterMemory(limiterOptions(policy, { pods }));
  return { ...NOTHING_TO_TELL, ask: () => consume(limiter, provider), trips: () => 0 };
}

const NOTHING_TO_TELL = {
  ready: () => Promise.resolve(),
  trips: () => undefined,
  tripsWhileBlocked: () => 0,
  close: () => Promise.resolve(),
};

/**
 * The best rate-limiter-flexible can be told. Count-then-block: points that never expire, and a block of T once they
 * are exceeded. It knows no sliding window; its own window is as long. It knows no bucket; the refill of one second
 * per second keeps the long-run rate, and gives up the first full bucket.
 */
function limiterOptions(policy: LimitedPolicy, { pods }: { pods: number }): IRateLimiterOptions {
  switch (policy.policy) {
    case 'count-then-block':
      return { points: Math.floor(policy.limit / pods), duration: 0, blockDuration: policy.blockMs / 1_000 };
    case 'token-bucket':
      return { points: Math.floor(policy.refillPerSecond / pods), duration: 1 };
    default:
      return { points: Math.floor(policy.limit / pods), duration: policy.windowMs / 1_000 };
  }
}

function consume(limiter: RateLimiterMemory | RateLimiterRedis, key: string): ReturnType<Strategy['ask']> {
  return limiter.consume(key).then(
    () => () => {},
    () => undefined,
  );
}

/**
 * Clustering over ioredis, as its documentation has it: a reservoir that is refreshed every T, or for a bucket
 * increased step by step (steps are 250 ms at least). No queue: what cannot run at once is dropped, as messages here
 * go on to the paid provider.
 */
function bottleneck({ redisUrl, provider, policy }: Setup): Strategy {
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
    ...NOTHING_TO_TELL,
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
