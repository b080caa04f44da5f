import { randomUUID } from 'node:crypto';
import { Logger, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import type { RedisConnection } from '#redis';
import { z } from 'zod';
import { openRedis, OutageLog } from '#service';
import { AckCounter } from './ack-counter.js';
import { HeardRevocations } from './heard-revocations.js';
import { TooLate, withinLoopTime } from './loop-time.js';
import { RevocationPoll } from './revocation-poll.js';
import type { StoredAccess } from './stored-access.js';

/** `revoked:<sid>`; its TTL lasts until every token with that `sid` has expired. */
const revokedKey = (sessionId: string): string => `revoked:${sessionId}`;
/** Channel on which revocations are published, as `revocationSchema` reads them. */
const REVOKED_CHANNEL = 'revoked';
/** Channel on which subscribers acknowledge a revocation to the process that published it, by its id. */
const ackChannel = (processId: string): string => `revoked:ack:${processId}`;

const revocationSchema = z.object({ id: z.string(), by: z.string(), sessionIds: z.array(z.string()) });
type Revocation = z.infer<typeof revocationSchema>;

/** Longest wait, in loop time, for Redis to look a session up, and to write and publish a revocation. */
const ANSWER_TIMEOUT_MS = 1_000;
/** Bounds the memory of commands that Redis never answers. It fires early when the event loop is late. */
const COMMAND_TIMEOUT_MS = 10_000;

/** How often a process renews its trust in its subscription, and polls Postgres. */
const HEARTBEAT_MS = 500;
const HEARTBEAT_TIMEOUT_MS = 2_000;
/**
 * How long a process trusts its subscription after it sent a heartbeat that Redis answered. Redis answers in order: the
 * process has received everything that was published before.
 */
const TRUST_MS = 2_000;
/**
 * How long after its commit a revocation is effective everywhere, even if it was not published: by then a process has
 * found it in Postgres, or it asks a store for each request. The rest allows for clocks of different speed.
 */
export const EFFECTIVE_AFTER_MS = TRUST_MS + 100;
/** After Redis was down, the auth app announces within this time what Redis may have lost. */
const SETTLE_MS = 5_000;

/**
 * `late`: Redis is connected, but neither it nor Postgres answers in time. `unknown`: Redis is not connected and Postgres
 * cannot be asked.
 */
export type SessionState = 'live' | 'revoked' | 'late' | 'unknown';
/** Of one store. `down`: not connected. */
type Answer = 'live' | 'revoked' | 'late' | 'down';

export interface RevocationListener {
  revoked(sessionIds: string[]): void;
  /** The process lost its subscription, or has subscribed again: it may have missed revocations. */
  mayHaveMissed(): void;
}

/**
 * Sessions whose access tokens are refused before they expire, and API keys that were deleted or whose account changed.
 * Redis publishes each revocation to every process, and keeps it as a key for processes that look up a session that is
 * new to them. A process asks Postgres instead while it is not sure to receive what Redis publishes, and when Redis does
 * not answer.
 *
 * Two promises bind the process that revokes and the others. A process trusts its subscription, and its poll of Postgres,
 * for `TRUST_MS` at a time. The process that revokes waits for every acknowledgement, or until that time is over.
 */
export class Revocations implements OnApplicationBootstrap, OnApplicationShutdown {
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
  private readonly heard = new HeardRevocations();
  private readonly poll: RevocationPoll;
  /** By the id of the revocation that waits for them. */
  private readonly acks = new Map<string, AckCounter>();
  private isStarted = false;
  private subscribed = false;
  private subscriptionTrustEnds = 0;
  private settledAtMs = 0;
  /** Lookups that timed out and that Redis has not answered yet. */
  private overdue = 0;

  constructor(
    redisUrl: string,
    private readonly stored: Pick<StoredAccess, 'isRevoked' | 'revokedWithin'>,
  ) {
    this.poll = new RevocationPoll({ stored, onRevoked: (accessIds) => this.hear(accessIds), trustMs: TRUST_MS });
    const timeouts = { commandTimeout: COMMAND_TIMEOUT_MS };
    this.commands = openRedis({ url: redisUrl, use: 'revocations', ...timeouts });
    this.subscription = openRedis({
      url: redisUrl,
      use: 'subscription to revocations',
      autoResubscribe: false,
      socketTimeout: HEARTBEAT_TIMEOUT_MS,
      ...timeouts,
    });
    this.subscription.on('ready', () => void this.subscribe());
    this.subscription.on('close', () => this.lose());
    this.subscription.on('message', (channel, message: string) =>
      channel === REVOKED_CHANNEL ? this.apply(message) : this.acks.get(message)?.receive(),
    );
    this.heartbeat = setInterval(() => {
      void this.renewTrust();
      if (this.isStarted) void this.poll.poll();
    }, HEARTBEAT_MS).unref();
  }

  /**
   * Unix time in milliseconds until which this process has received every revocation, or the process that revokes waits.
   * After it, do not use a cached result of `stateOf`.
   */
  get trustedUntil(): number {
    return Math.min(this.subscriptionTrustEnds, this.poll.trustedUntil);
  }

  /** Whether `id` was revoked, or the API key with this id changed, since then. @param sinceMs of `performance.now()` */
  hasHeardSince(id: string, sinceMs: number): boolean {
    return this.heard.hasSince(id, sinceMs);
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
   * acknowledged, or after `EFFECTIVE_AFTER_MS`.
   * @param ttlMs lifetime of the revocation: at least the rest of the lifetime of the tokens
   * @throws if Redis is down; this process refuses the tokens even so
   */
  async revoke(sessionIds: string[], ttlMs: number): Promise<void> {
    if (sessionIds.length === 0) return;
    this.hear(sessionIds);
    // Not a pipeline: in a cluster the keys are on different nodes.
    const writes = sessionIds.map((sessionId) => this.commands.set(revokedKey(sessionId), '1', 'PX', ttlMs));
    await withinLoopTime(Promise.all(writes), ANSWER_TIMEOUT_MS);
    // After the keys: a process that receives the message and looks a session up must find its key.
    await this.publish(sessionIds);
  }

  /** Takes as long as Redis and Postgres take, at most about 3 s. */
  async stateOf(sessionId: string): Promise<SessionState> {
    if (this.heard.has(sessionId)) return 'revoked';
    const state = await this.askStores(sessionId);
    if (state === 'revoked') this.heard.add([sessionId]);
    // Heard during the lookup: the answer may be older.
    return this.heard.has(sessionId) ? 'revoked' : state;
  }

  /** The tables exist by now. */
  onApplicationBootstrap(): void {
    this.isStarted = true;
    void this.poll.poll();
  }

  onApplicationShutdown(): void {
    clearInterval(this.heartbeat);
    this.subscription.disconnect();
    this.commands.disconnect();
  }

  /** The second store is asked only if the first one has no answer. */
  private async askStores(sessionId: string): Promise<SessionState> {
    const isRedisComplete = Date.now() < this.trustedUntil && performance.now() >= this.settledAtMs;
    const first = isRedisComplete ? await this.askRedis(sessionId) : await this.askPostgres(sessionId);
    if (isDecided(first)) return first;
    const second = isRedisComplete ? await this.askPostgres(sessionId) : await this.askRedis(sessionId);
    if (isDecided(second)) return second;
    return first === 'late' || second === 'late' ? 'late' : 'unknown';
  }

  private async askPostgres(sessionId: string): Promise<Answer> {
    try {
      return (await this.stored.isRevoked(sessionId)) ? 'revoked' : 'live';
    } catch {
      // Postgres is down, which the database module logs.
      return 'down';
    }
  }

  /** Until Redis answers an overdue lookup, later lookups do not wait for it. */
  private async askRedis(sessionId: string): Promise<Answer> {
    if (this.commands.status !== 'ready') return 'down';
    if (this.overdue > 0) return 'late';
    const answer = this.lookUp(sessionId);
    try {
      return await withinLoopTime(answer, ANSWER_TIMEOUT_MS);
    } catch (error) {
      if (!(error instanceof TooLate)) throw error;
      this.overdue += 1;
      void answer.then(() => (this.overdue -= 1));
      // Redis answers the subscription: it is this connection that is dead.
      if (Date.now() < this.subscriptionTrustEnds) this.commands.disconnect(true);
      return 'late';
    }
  }

  private async lookUp(sessionId: string): Promise<Answer> {
    try {
      return (await this.commands.exists(revokedKey(sessionId))) === 1 ? 'revoked' : 'live';
    } catch {
      // A connected Redis that refuses the command counts as late: it might know the session.
      return this.commands.status === 'ready' ? 'late' : 'down';
    }
  }

  private async subscribe(): Promise<void> {
    const askedAt = Date.now();
    try {
      await this.subscription.subscribe(REVOKED_CHANNEL, ackChannel(this.processId));
      this.subscribed = true;
      this.subscriptionTrustEnds = askedAt + TRUST_MS;
      this.settledAtMs = performance.now() + SETTLE_MS;
      this.outage.recovered();
      for (const listener of this.listeners) listener.mayHaveMissed();
    } catch (error) {
      this.outage.failed({ err: error });
      this.subscription.disconnect(true);
    }
  }

  /**
   * Subscribes again, which changes nothing: unlike a ping it takes the way of the messages in a cluster too. There,
   * messages of other nodes may be behind by a hop.
   */
  private async renewTrust(): Promise<void> {
    if (!this.subscribed) return;
    const askedAt = Date.now();
    try {
      await this.subscription.subscribe(REVOKED_CHANNEL);
      if (this.subscribed) this.subscriptionTrustEnds = askedAt + TRUST_MS;
    } catch {
      // The trust ends by itself; a broken connection is reported by its `close`.
    }
  }

  private lose(): void {
    this.subscribed = false;
    this.subscriptionTrustEnds = 0;
    for (const listener of this.listeners) listener.mayHaveMissed();
  }

  private async publish(sessionIds: string[]): Promise<void> {
    const id = randomUUID();
    const acks = new AckCounter();
    this.acks.set(id, acks);
    try {
      const revocation: Revocation = { id, by: this.processId, sessionIds };
      // In a cluster Redis counts only the subscribers of the node that publishes.
      const publication = this.commands.publish(REVOKED_CHANNEL, JSON.stringify(revocation));
      const expected = await withinLoopTime(publication, ANSWER_TIMEOUT_MS);
      if (!(await acks.wait({ expected, timeoutMs: EFFECTIVE_AFTER_MS }))) {
        this.logger.warn('revocation was not acknowledged in time', { sessions: sessionIds.length, expected });
      }
    } finally {
      this.acks.delete(id);
    }
  }

  private apply(message: string): void {
    try {
      const { id, by, sessionIds } = revocationSchema.parse(JSON.parse(message));
      this.hear(sessionIds);
      // A lost acknowledgement costs the publisher `EFFECTIVE_AFTER_MS` at most.
      this.commands.publish(ackChannel(by), id).catch(() => {});
    } catch (error) {
      this.logger.warn('revocation cannot be parsed', { err: error });
      for (const listener of this.listeners) listener.mayHaveMissed();
    }
  }

  private hear(sessionIds: string[]): void {
    this.heard.add(sessionIds);
    for (const listener of this.listeners) listener.revoked(sessionIds);
  }
}

function isDecided(answer: Answer): answer is 'live' | 'revoked' {
  return answer === 'live' || answer === 'revoked';
}
