import { randomUUID } from 'node:crypto';
import { Logger, type OnApplicationShutdown } from '@nestjs/common';
import type { RedisConnection } from '#redis';
import { z } from 'zod';
import { openRedis, OutageLog } from '#service';
import { AckCounter } from './ack-counter.js';

/** `revoked:<sid>`; its TTL lasts until every token with that `sid` has expired. */
const revokedKey = (sessionId: string): string => `revoked:${sessionId}`;
/** Channel on which revocations are published, as `revocationSchema` reads them. */
const REVOKED_CHANNEL = 'revoked';
/** Channel on which subscribers acknowledge a revocation to the process that published it, by its id. */
const ackChannel = (processId: string): string => `revoked:ack:${processId}`;

const revocationSchema = z.object({ id: z.string(), by: z.string(), sessionIds: z.array(z.string()) });
type Revocation = z.infer<typeof revocationSchema>;

/** Timeout for the acknowledgements of all processes. */
const ACK_TIMEOUT_MS = 500;

/** Longest wait of a request for the state of its session. */
const ANSWER_TIMEOUT_MS = 100;

/** A connection can be dead without an error, so the subscription pings. */
const HEARTBEAT_MS = 2_000;
const HEARTBEAT_TIMEOUT_MS = 2_000;

export type SessionState = 'live' | 'revoked' | 'unknown';

export interface RevocationListener {
  revoked(sessionIds: string[]): void;
  /** The subscription was lost or is back: any session may have been revoked meanwhile. */
  mayHaveMissed(): void;
}

/**
 * Sessions whose access tokens are refused before they expire. Redis publishes each revocation to every process, and
 * keeps it as a key for processes that look up a session that is new to them.
 */
export class Revocations implements OnApplicationShutdown {
  private readonly logger = new Logger('revocations');
  private readonly outage = new OutageLog(this.logger, {
    failed: 'cannot subscribe to revocations',
    recovered: 'subscribed to revocations again',
  });
  private readonly listeners: RevocationListener[] = [];
  private readonly commands: RedisConnection;
  private readonly subscription: RedisConnection;
  private readonly heartbeat: NodeJS.Timeout;
  private readonly processId = randomUUID();
  /** By the id of the revocation that waits for them. */
  private readonly acks = new Map<string, AckCounter>();
  private subscribed = false;
  /** Lookups that timed out and that Redis has not answered yet. */
  private overdue = 0;

  constructor(redisUrl: string) {
    this.commands = openRedis({ url: redisUrl, use: 'revocations' });
    this.subscription = openRedis({
      url: redisUrl,
      use: 'subscription to revocations',
      autoResubscribe: false,
      socketTimeout: HEARTBEAT_TIMEOUT_MS,
    });
    this.subscription.on('ready', () => void this.subscribe());
    this.subscription.on('close', () => this.lose());
    this.subscription.on('message', (channel, message: string) =>
      channel === REVOKED_CHANNEL ? this.apply(message) : this.acks.get(message)?.receive(),
    );
    this.heartbeat = setInterval(() => void this.subscription.ping().catch(() => {}), HEARTBEAT_MS).unref();
  }

  /** While false, revocations may be missed: a result of `stateOf` must not be cached. */
  get isSubscribed(): boolean {
    return this.subscribed;
  }

  listen(listener: RevocationListener): void {
    this.listeners.push(listener);
  }

  /** Calls back each time Redis is connected: the first time and after each outage. */
  whenConnected(listener: () => void): void {
    this.commands.on('ready', listener);
    if (this.commands.status === 'ready') listener();
  }

  /**
   * Refuses all access tokens of these sessions in every process. Resolves when every subscribed process has
   * acknowledged, or after 500 ms: a process that is silent for longer looks sessions up again when it is back.
   * @param ttlMs lifetime of the revocation: at least the rest of the lifetime of the tokens
   * @throws if Redis is down; this process has dropped the tokens from its cache even so
   */
  async revoke(sessionIds: string[], ttlMs: number): Promise<void> {
    if (sessionIds.length === 0) return;
    for (const listener of this.listeners) listener.revoked(sessionIds);
    // Not a pipeline: in a cluster the keys are on different nodes.
    await Promise.all(sessionIds.map((sessionId) => this.commands.set(revokedKey(sessionId), '1', 'PX', ttlMs)));
    // After the keys: a process that receives the message and looks a session up must find its key.
    await this.publish(sessionIds);
  }

  /** `unknown`: Redis is down or did not answer within 100 ms. Until it answers, later calls do not wait for it. */
  async stateOf(sessionId: string): Promise<SessionState> {
    if (this.overdue > 0) return 'unknown';
    let timer: NodeJS.Timeout | undefined;
    let isOverdue = false;
    const timeout = new Promise<SessionState>((resolve) => {
      timer = setTimeout(() => {
        isOverdue = true;
        this.overdue += 1;
        resolve('unknown');
      }, ANSWER_TIMEOUT_MS);
    });
    const answer = this.lookUp(sessionId).finally(() => {
      clearTimeout(timer);
      if (isOverdue) this.overdue -= 1;
    });
    return Promise.race([answer, timeout]);
  }

  onApplicationShutdown(): void {
    clearInterval(this.heartbeat);
    this.subscription.disconnect();
    this.commands.disconnect();
  }

  private async lookUp(sessionId: string): Promise<SessionState> {
    try {
      return (await this.commands.exists(revokedKey(sessionId))) === 1 ? 'revoked' : 'live';
    } catch {
      return 'unknown';
    }
  }

  private async subscribe(): Promise<void> {
    try {
      await this.subscription.subscribe(REVOKED_CHANNEL, ackChannel(this.processId));
      this.subscribed = true;
      this.outage.recovered();
      for (const listener of this.listeners) listener.mayHaveMissed();
    } catch (error) {
      this.outage.failed({ err: error });
      this.subscription.disconnect(true);
    }
  }

  private lose(): void {
    this.subscribed = false;
    for (const listener of this.listeners) listener.mayHaveMissed();
  }

  private async publish(sessionIds: string[]): Promise<void> {
    const id = randomUUID();
    const acks = new AckCounter();
    this.acks.set(id, acks);
    try {
      const revocation: Revocation = { id, by: this.processId, sessionIds };
      // In a cluster Redis counts only the subscribers of the node that publishes.
      const expected = await this.commands.publish(REVOKED_CHANNEL, JSON.stringify(revocation));
      if (!(await acks.wait({ expected, timeoutMs: ACK_TIMEOUT_MS }))) {
        this.logger.warn('revocation was not acknowledged in time', { sessions: sessionIds.length, expected });
      }
    } finally {
      this.acks.delete(id);
    }
  }

  private apply(message: string): void {
    try {
      const { id, by, sessionIds } = revocationSchema.parse(JSON.parse(message));
      for (const listener of this.listeners) listener.revoked(sessionIds);
      // A lost acknowledgement costs the publisher `ACK_TIMEOUT_MS` at most.
      this.commands.publish(ackChannel(by), id).catch(() => {});
    } catch (error) {
      this.logger.warn('revocation cannot be parsed', { err: error });
      for (const listener of this.listeners) listener.mayHaveMissed();
    }
  }
}
