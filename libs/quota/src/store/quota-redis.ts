import { connectRedis, type ConnectionOptions, type RedisConnection } from '#redis';

/** Together with the socket timeout, shorter than Sentinels take to replace a master. */
const HEARTBEAT_MS = 1_000;

/**
 * Options for a Redis connection that carries permits: fail at once instead of queueing while disconnected, never resend
 * commands (the pod retries a step under its own number), notice a dead peer, and leave a server that became a replica.
 */
export const QUOTA_REDIS_OPTIONS = {
  enableOfflineQueue: false,
  maxRetriesPerRequest: 0,
  autoResendUnfulfilledCommands: false,
  connectTimeout: 2_000,
  socketTimeout: 2_000,
  retryStrategy: (times: number) => Math.min(50 * times, 500),
  // Not startsWith: before Redis 7 the text of a script error precedes the code.
  reconnectOnError: (error: Error) => error.message.includes('READONLY'),
} satisfies ConnectionOptions;

/**
 * Opens a connection that carries permits, to one server, to a Sentinel group or to a cluster; see `connectRedis` for the
 * address forms.
 * @throws TypeError for an address of unknown form
 */
export function openQuotaRedis(url: string): RedisConnection {
  const redis = connectRedis(url, QUOTA_REDIS_OPTIONS);
  // Sentinels replace a master that hangs. When it continues it does not know that, and would grant the permits of the new
  // master a second time. Every pod, also an idle one, must leave it while it hangs: the heartbeat gets no answer, and the
  // socket timeout closes the connection. `failoverDetector` cannot do this: ioredis 6.0.0, notified of a new master while it
  // connects, gives up the connection for good.
  const heartbeat = setInterval(() => void redis.ping().catch(() => {}), HEARTBEAT_MS).unref();
  redis.once('end', () => clearInterval(heartbeat));
  return redis;
}
