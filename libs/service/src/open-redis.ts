import { connectRedis, type ConnectionOptions, type RedisConnection } from '#redis';
import { logTransitions } from './log-transitions.js';

/** Longest wait for the answer to a command: Redis answers within a millisecond or is in trouble. */
const COMMAND_TIMEOUT_MS = 200;
const CONNECT_TIMEOUT_MS = 2_000;
const RECONNECT_MAX_MS = 1_000;

/**
 * A connection whose commands fail at once while Redis is away, and never hang a request. It reconnects by itself and
 * logs only when it is lost and when it is back; `use` says in the log what it is for.
 */
export function openRedis({
  url,
  use,
  ...options
}: { url: string; use: string } & Pick<ConnectionOptions, 'autoResubscribe' | 'socketTimeout'>): RedisConnection {
  const redis = connectRedis(url, {
    connectTimeout: CONNECT_TIMEOUT_MS,
    commandTimeout: COMMAND_TIMEOUT_MS,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    retryStrategy: (times) => Math.min(25 * 2 ** times, RECONNECT_MAX_MS),
    ...options,
  });
  logTransitions(redis, use);
  return redis;
}
