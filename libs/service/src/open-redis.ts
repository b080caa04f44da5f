import type { EventEmitter } from 'node:events';
import { Logger } from '@nestjs/common';
import { connectRedis, type ConnectionOptions, type RedisConnection } from '#redis';
import { OutageLog } from './outage-log.js';

/** Longest wait for a reply: Redis answers within a millisecond or is in trouble. */
const COMMAND_TIMEOUT_MS = 200;
const CONNECT_TIMEOUT_MS = 2_000;
const RECONNECT_MAX_MS = 1_000;

/**
 * A connection whose commands fail at once while Redis is down, so that no request hangs. It reconnects by itself.
 * @param use names the purpose of the connection in the log
 */
export function openRedis({
  url,
  use,
  ...options
}: { url: string; use: string } & Pick<
  ConnectionOptions,
  'autoResubscribe' | 'commandTimeout' | 'socketTimeout'
>): RedisConnection {
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

/** Logs when a Redis connection is lost and when it is back, not each error in between. */
export function logTransitions(redis: EventEmitter, use: string): void {
  const outage = new OutageLog(new Logger('redis'), { failed: 'redis is down', recovered: 'redis is back' });
  redis.on('error', (error) => outage.failed({ use, err: error }));
  redis.on('ready', () => outage.recovered({ use }));
}
