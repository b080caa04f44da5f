import { randomUUID } from 'node:crypto';
import { Logger, type OnApplicationShutdown } from '@nestjs/common';
import type { RedisConnection } from '#redis';
import { z } from 'zod';
import { openRedis } from '#service';
import { Telling } from './telling.js';

/** `revoked:<sid>`, lives until the last token that carries the sid has expired. */
const revokedKey = (sessionId: string): string => `revoked:${sessionId}`;
/** Carries what `revocationSchema` reads. */
const REVOKED_CHANNEL = 'revoked';
/** On which the process that revoked hears, by the revocation's id, that another one has heard. */
const heardChannel = (processId: string): string => `revoked:heard:${processId}`;

const revocationSchema = z.object({ id: z.string(), by: z.string(), sessionIds: z.array(z.string()) });
type Revocation = z.infer<typeof revocationSchema>;

/** Longest wait for every process to say that it has heard. */
const HEARD_TIMEOUT_MS = 500;

/** Longest that a request waits to know whether its token was revoked. */
const ANSWER_TIMEOUT_MS = 100;

/** How often the subscription shows that it is alive: a connection can be dead without anybody telling us. */
const HEARTBEAT_MS = 2_000;
const HEARTBEAT_TIMEOUT_MS = 2_000;

export type SessionState = 'live' | 'revoked' | 'unknown';

export interface RevocationListener {
  revoked(sessionIds: string[]): void;
  /** The subscription was lost or is back: anything may have been revoked meanwhile. */
  mayHaveMissed(): void;
}

/**
 * Which sessions' access tokens are refused before they expire. Every process hears of a revocation at once, and can
 * ask about sessions it has not seen before.
 */
export class Revocations implements OnApplicationShutdown {
  private readonly logger = new Logger('revocations');
  private readonly listeners: RevocationListener[] = [];
  private readonly commands: RedisConnection;
  private readonly subscription: RedisConnection;
  private readonly heartbeat: NodeJS.Timeout;
  private readonly processId = randomUUID();
  private readonly tellings = new Map<string, Telling>();
  private subscribed = false;
  /** Questions that were given up and may still be answered. */
  private overdue = 0;

  constructor(redisUrl: string) {
    this.commands = openRedis({ url: redisUrl, use: 'revocations' });
    this.subscription = openRedis({
      url: redisUrl,
      use: 'revocations as they happen',
      autoResubscribe: false,
      socketTimeout: HEARTBEAT_TIMEOUT_MS,
    });
    this.subscription.on('ready', () => void this.subscribe());
    this.subscription.on('close', () => this.lose());
    this.subscription.on('message', (channel, message: string) =>
      channel === REVOKED_CHANNEL ? this.hear(message) : this.tellings.get(message)?.hear(),
    );
    this.heartbeat = setInterval(() => void this.subscription.ping().catch(() => {}), HEARTBEAT_MS).unref();
  }

  /** Whether this process hears of revocations now. While it does not, an answer of `stateOf` holds for its moment. */
  get hears(): boolean {
    return this.subscribed;
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
   * Refuses all access tokens of these sessions, here and everywhere. Returns when every process that is connected has
   * said that it refuses them, or after half a second: who is silent for that long will ask again when it is back.
   * @param ttlMs how long to remember it: as long as the longest-living of their tokens
   * @throws if Redis cannot be asked; this process refuses them even so as long as it remembers
   */
  async revoke(sessionIds: string[], ttlMs: number): Promise<void> {
    if (sessionIds.length === 0) return;
    for (const listener of this.listeners) listener.revoked(sessionIds);
    // No pipeline: in a cluster the keys are on different nodes.
    await Promise.all(sessionIds.map((sessionId) => this.commands.set(revokedKey(sessionId), '1', 'PX', ttlMs)));
    // After the keys: whoever hears it and asks must find them.
    await this.tell(sessionIds);
  }

  /** `unknown`: Redis cannot be asked, or did not answer within 100 ms; while it does not, nobody else waits for it. */
  async stateOf(sessionId: string): Promise<SessionState> {
    if (this.overdue > 0) return 'unknown';
    let timer: NodeJS.Timeout | undefined;
    let isOverdue = false;
    const patience = new Promise<SessionState>((resolve) => {
      timer = setTimeout(() => {
        isOverdue = true;
        this.overdue += 1;
        resolve('unknown');
      }, ANSWER_TIMEOUT_MS);
    });
    const answer = this.ask(sessionId).finally(() => {
      clearTimeout(timer);
      if (isOverdue) this.overdue -= 1;
    });
    return Promise.race([answer, patience]);
  }

  onApplicationShutdown(): void {
    clearInterval(this.heartbeat);
    this.subscription.disconnect();
    this.commands.disconnect();
  }

  private async ask(sessionId: string): Promise<SessionState> {
    try {
      return (await this.commands.exists(revokedKey(sessionId))) === 1 ? 'revoked' : 'live';
    } catch {
      return 'unknown';
    }
  }

  private async subscribe(): Promise<void> {
    try {
      await this.subscription.subscribe(REVOKED_CHANNEL, heardChannel(this.processId));
      this.subscribed = true;
      for (const listener of this.listeners) listener.mayHaveMissed();
    } catch (error) {
      this.logger.warn('could not subscribe', { err: error });
      this.subscription.disconnect(true);
    }
  }

  private lose(): void {
    this.subscribed = false;
    for (const listener of this.listeners) listener.mayHaveMissed();
  }

  private async tell(sessionIds: string[]): Promise<void> {
    const id = randomUUID();
    const telling = new Telling();
    this.tellings.set(id, telling);
    try {
      const revocation: Revocation = { id, by: this.processId, sessionIds };
      // In a cluster: how many are subscribed at the node that was asked.
      const told = await this.commands.publish(REVOKED_CHANNEL, JSON.stringify(revocation));
      if (!(await telling.byAll(told, HEARD_TIMEOUT_MS))) {
        this.logger.warn('not every process said that it heard of a revocation in time', { count: sessionIds.length });
      }
    } finally {
      this.tellings.delete(id);
    }
  }

  private hear(message: string): void {
    try {
      const { id, by, sessionIds } = revocationSchema.parse(JSON.parse(message));
      for (const listener of this.listeners) listener.revoked(sessionIds);
      // Whoever waits for it does so for a moment only.
      this.commands.publish(heardChannel(by), id).catch(() => {});
    } catch (error) {
      this.logger.warn('message not understood', { err: error });
      for (const listener of this.listeners) listener.mayHaveMissed();
    }
  }
}
