import { connectRedis, type ConnectionOptions, type RedisConnection } from '#redis';

/** Together with the socket's timeout shorter than Sentinels take to replace a master. */
const HEARTBEAT_MS = 1_000;

/**
 * Options a Redis connection needs to carry permits: fail at once instead of queueing while disconnected, never resend
 * by itself (a step is repeated by its own number), notice a dead peer, and leave a server that has become a replica.
 */
export const QUOTA_REDIS_OPTIONS = {
  enableOfflineQueue: false,
  maxRetriesPerRequest: 0,
  autoResendUnfulfilledCommands: false,
  connectTimeout: 2_000,
  socketTimeout: 2_000,
  retryStrategy: (times: number) => Math.min(50 * times, 500),
  // Before Redis 7 a script's own words come first.
  reconnectOnError: (error: Error) => error.message.includes('READONLY'),
} satisfies ConnectionOptions;

/**
 * Opens a connection that carries permits, to one server, to a Sentinel group or to a cluster; see `connectRedis` for the
 * forms of the address.
 * @throws TypeError for an address of no known form
 */
export function openQuotaRedis(url: string): RedisConnection {
  const redis = connectRedis(url, QUOTA_REDIS_OPTIONS);
  // A master that stood still and was replaced does not know it, and would grant once more what the new one grants: it
  // must be left while it stands still, also by a pod that asks nothing. Not by `failoverDetector`: told of a new master
  // while it connects, ioredis 6.0.0 gives the connection up for good.
  const heartbeat = setInterval(() => void redis.ping().catch(() => {}), HEARTBEAT_MS).unref();
  redis.once('end', () => clearInterval(heartbeat));
  return redis;
}
