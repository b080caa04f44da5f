import { Logger, type OnApplicationShutdown } from '@nestjs/common';
import type { Redis } from 'ioredis';
import { z } from 'zod';
import { openRedis } from '#service';

/** `revoked:<sid>`, lives until the last token that carries the sid has expired. */
const revokedKey = (sessionId: string): string => `revoked:${sessionId}`;
/** Carries JSON arrays of sids. */
const REVOKED_CHANNEL = 'revoked';

const sessionIdsSchema = z.array(z.string());

/** How often the subscription shows that it is alive: a connection can be dead without anybody telling us. */
const HEARTBEAT_MS = 2_000;
const HEARTBEAT_TIMEOUT_MS = 2_000;

export interface RevocationListener {
  revoked(sessionIds: string[]): void;
  /** Heard nothing for a while: anything may have been revoked meanwhile. */
  mayHaveMissed(): void;
}

/**
 * Which sessions' access tokens are refused before they expire. Every process hears of a revocation at once, and can
 * ask about sessions it has not seen before.
 */
export class Revocations implements OnApplicationShutdown {
  private readonly logger = new Logger('revocations');
  private readonly listeners: RevocationListener[] = [];
  private readonly commands: Redis;
  private readonly subscription: Redis;
  private readonly heartbeat: NodeJS.Timeout;

  constructor(redisUrl: string) {
    this.commands = openRedis({ url: redisUrl, use: 'revocations' });
    this.subscription = openRedis({
      url: redisUrl,
      use: 'revocations as they happen',
      autoResubscribe: false,
      socketTimeout: HEARTBEAT_TIMEOUT_MS,
    });
    this.subscription.on('ready', () => void this.subscribe());
    this.subscription.on('message', (_channel, message: string) => this.hear(message));
    this.heartbeat = setInterval(() => void this.subscription.ping().catch(() => {}), HEARTBEAT_MS).unref();
  }

  listen(listener: RevocationListener): void {
    this.listeners.push(listener);
  }

  /** Calls back whenever Redis is connected, the first time and after every interruption. */
  whenConnected(listener: () => void): void {
    this.commands.on('ready', listener);
    if (this.commands.status === 'ready') listener();
  }

  /**
   * Refuses all access tokens of these sessions, here and everywhere.
   * @param ttlMs how long to remember it: as long as the longest-living of their tokens
   * @throws if Redis cannot be asked; this process refuses them even so as long as it remembers
   */
  async revoke(sessionIds: string[], ttlMs: number): Promise<void> {
    if (sessionIds.length === 0) return;
    for (const listener of this.listeners) listener.revoked(sessionIds);
    const pipeline = this.commands.pipeline();
    for (const sessionId of sessionIds) pipeline.set(revokedKey(sessionId), '1', 'PX', ttlMs);
    // After the keys: whoever hears it and asks must find them.
    pipeline.publish(REVOKED_CHANNEL, JSON.stringify(sessionIds));
    const failed = (await pipeline.exec())?.find(([error]) => error !== null);
    if (failed?.[0]) throw failed[0];
  }

  /** `unknown`: Redis cannot be asked. */
  async stateOf(sessionId: string): Promise<'live' | 'revoked' | 'unknown'> {
    try {
      return (await this.commands.exists(revokedKey(sessionId))) === 1 ? 'revoked' : 'live';
    } catch {
      return 'unknown';
    }
  }

  onApplicationShutdown(): void {
    clearInterval(this.heartbeat);
    this.subscription.disconnect();
    this.commands.disconnect();
  }

  private async subscribe(): Promise<void> {
    try {
      await this.subscription.subscribe(REVOKED_CHANNEL);
      for (const listener of this.listeners) listener.mayHaveMissed();
    } catch (error) {
      this.logger.warn('could not subscribe', { err: error });
      this.subscription.disconnect(true);
    }
  }

  private hear(message: string): void {
    try {
      const sessionIds = sessionIdsSchema.parse(JSON.parse(message));
      for (const listener of this.listeners) listener.revoked(sessionIds);
    } catch (error) {
      this.logger.warn('message not understood', { err: error });
      for (const listener of this.listeners) listener.mayHaveMissed();
    }
  }
}
