import type { EventEmitter } from 'node:events';
import { Logger } from '@nestjs/common';

/** Logs when a Redis connection is lost and when it is back, not each error in between. */
export function logTransitions(redis: EventEmitter, use: string): void {
  const logger = new Logger('redis');
  let isDown = false;
  redis.on('error', (error) => {
    if (!isDown) logger.warn('redis is down', { use, err: error });
    isDown = true;
  });
  redis.on('ready', () => {
    if (isDown) logger.log('redis is back', { use });
    isDown = false;
  });
}
