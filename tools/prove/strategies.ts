import { Redis } from 'ioredis';
import { RateLimiterMemory, RateLimiterRedis } from 'rate-limiter-flexible';
import { Quota, QUOTA_REDIS_OPTIONS, type Settlement } from '#quota';

export interface Setup {
  redisUrl: string;
  provider: string;
  limit: number;
  blockMs: number;
  timeoutMs: number;
  pods: number;
}

/** A way to decide, message by message, whether the free provider may be asked. */
export interface Strategy {
  /** Undefined: do not send. Otherwise tell afterwards what became of it. */
  ask: () => Promise<((settlement: Settlement) => void) | undefined>;
  trips: () => number;
  close: () => Promise<void>;
}

export const STRATEGIES = {
  octo,
  'rate-limiter-flexible': rateLimiterFlexible,
  'N / pods': shareEach,
} as const satisfies Record<string, (setup: Setup) => Strategy>;
export type StrategyName = keyof typeof STRATEGIES;

function octo({ redisUrl, provider, limit, blockMs, timeoutMs }: Setup): Strategy {
  const redis = new Redis(redisUrl, QUOTA_REDIS_OPTIONS);
  redis.on('error', () => {});
  const policy = { policy: 'count-then-block', limit, blockMs, startsAt: 'last-accept' } as const;
  const quota = new Quota({ redis, providers: [{ name: provider, policy, timeoutMs }], whenForgotten: 'blocked' });
  return {
    ask: async () => {
      const reservation = await quota.reserve(provider);
      return reservation.granted ? (settlement) => quota.settle(reservation.permit, settlement) : undefined;
    },
    trips: () => quota.trips,
    close: async () => {
      await quota.close();
      redis.disconnect();
    },
  };
}

/** The usual way: so many points in a window as long as the block, on one Redis. */
function rateLimiterFlexible({ redisUrl, provider, limit, blockMs }: Setup): Strategy {
  const redis = new Redis(redisUrl, { enableOfflineQueue: false, maxRetriesPerRequest: 0 });
  redis.on('error', () => {});
  const limiter = new RateLimiterRedis({ storeClient: redis, points: limit, duration: Math.ceil(blockMs / 1_000) });
  let trips = 0;
  return {
    ask: async () => {
      trips += 1;
      return limiter.consume(provider).then(
        () => () => {},
        () => undefined,
      );
    },
    trips: () => trips,
    close: () => {
      redis.disconnect();
      return Promise.resolve();
    },
  };
}

/** Without anything shared: each pod keeps to its part. */
function shareEach({ provider, limit, blockMs, pods }: Setup): Strategy {
  const limiter = new RateLimiterMemory({ points: Math.floor(limit / pods), duration: Math.ceil(blockMs / 1_000) });
  return {
    ask: () =>
      limiter.consume(provider).then(
        () => () => {},
        () => undefined,
      ),
    trips: () => 0,
    close: () => Promise.resolve(),
  };
}
