import { Logger } from '@nestjs/common';
import { Redis, type RedisOptions } from 'ioredis';

/** Longest wait for the answer to a command: Redis answers within a millisecond or is in trouble. */
const COMMAND_TIMEOUT_MS = 200;
const CONNECT_TIMEOUT_MS = 2_000;
const RECONNECT_MAX_MS = 1_000;

/**
 * A connection whose commands fail at once while Redis is away, and never hang a request. It reconnects by itself and
 * logs only when it is lost and when it is back.
 */
export function openRedis(url: string, options: Pick<RedisOptions, 'autoResubscribe' | 'socketTimeout'> = {}): Redis {
  const redis = new Redis(url, {
    connectTimeout: CONNECT_TIMEOUT_MS,
    commandTimeout: COMMAND_TIMEOUT_MS,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    retryStrategy: (times) => Math.min(25 * 2 ** times, RECONNECT_MAX_MS),
    ...options,
  });
  logTransitions(redis);
  return redis;
}

function logTransitions(redis: Redis): void {
  const logger = new Logger('redis');
  let down = false;
  redis.on('error', (error) => {
    if (!down) logger.warn('redis is down', { err: error });
    down = true;
  });
  redis.on('ready', () => {
    if (down) logger.log('redis is back');
    down = false;
  });
}
