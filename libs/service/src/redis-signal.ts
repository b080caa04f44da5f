import type { OnApplicationShutdown } from '@nestjs/common';
import type { RedisConnection } from '#redis';
import { openRedis } from './open-redis.js';

/**
 * Wakes listeners in other processes. A signal is lost while a listener is not connected, so listeners also look by
 * themselves from time to time. A process either sends or listens: Redis takes no other commands on a subscribed connection.
 */
export class RedisSignal implements OnApplicationShutdown {
  private readonly redis: RedisConnection;

  constructor(private readonly options: { url: string; channel: string }) {
    this.redis = openRedis({ url: options.url, use: options.channel });
  }

  send(): void {
    // The connection logs the outage.
    this.redis.publish(this.options.channel, '').catch(() => undefined);
  }

  listen(onSignal: () => void): void {
    const subscribe = (): void => void this.redis.subscribe(this.options.channel).catch(() => undefined);
    this.redis.on('message', onSignal);
    if (this.redis.status === 'ready') subscribe();
    else this.redis.once('ready', subscribe);
  }

  onApplicationShutdown(): void {
    this.redis.disconnect();
  }
}
