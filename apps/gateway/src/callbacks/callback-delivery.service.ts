import { setTimeout as sleep } from 'node:timers/promises';
import { type BeforeApplicationShutdown, Logger, type OnApplicationBootstrap } from '@nestjs/common';
import { DrizzleQueryError } from 'drizzle-orm';
import type { Agent } from 'undici';
import { callbackAgent, type Lookup } from './callback-agent.js';
import { callbackTries } from './callback-metrics.js';
import { callbackRefusal } from './callback-refusal.js';
import type { CallbackSettings } from './callback-settings.js';
import { nextRetry, RETRY_DELAYS_MS } from './retry-policy.js';
import type { ClaimedCallback, PendingCallbacks } from './pending-callbacks.service.js';
import { postCallback, type TryResult } from './post-callback.js';

export interface DeliveryOptions {
  settings: CallbackSettings;
  /** Waits between tries; as many tries as there are waits, and one more. */
  retryDelaysMs?: readonly number[];
  /** Longest try, answer included. */
  tryTimeoutMs?: number;
  /** How long tries in flight may go on when the process stops. */
  stopGraceMs?: number;
  /** How names are resolved; by default as the system does it. */
  lookup?: Lookup;
  random?: () => number;
}

const TRY_TIMEOUT_MS = 10_000;
/** Longer than a try and the writing of its outcome: it runs out only when its process died. */
const CLAIM_MS = 30_000;
/** Most tries in flight at one pod, and how many are claimed at a time. */
const AT_ONCE = 64;
const CLAIM_SIZE = 16;
/** An account with that many in flight is passed over, so that one slow receiver does not hold up everybody's. */
const BUSY_ACCOUNT = 16;
/** How often Postgres is asked when nothing is known to be due: for what other pods left behind. */
const IDLE_MS = 5_000;
/** What is due has just been taken by somebody, or its millisecond has not quite passed. */
const SHORTEST_PAUSE_MS = 5;
const DOWN_RETRY_MS = 1_000;
const STOP_GRACE_MS = 2_000;
/** For the outcomes of what is broken off then. */
const LAST_WRITES_MS = 1_000;

interface Flight {
  accountId: string;
  abort: AbortController;
  ended: Promise<void>;
}

/**
 * Delivers callbacks at least once: every pod takes what is due, tries it, and writes down what came of it. Whoever
 * finishes a message inserts the row and calls `wake`.
 */
export class CallbackDelivery implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly logger = new Logger('callbacks');
  private readonly options: Required<Omit<DeliveryOptions, 'lookup'>>;
  private readonly agent: Agent;
  private readonly flights = new Map<string, Flight>();
  private loop = Promise.resolve();
  private endPause: () => void = () => {};
  private isWoken = false;
  private isDown = false;
  private isStopping = false;

  constructor(
    private readonly pending: PendingCallbacks,
    { lookup, ...options }: DeliveryOptions,
  ) {
    this.options = {
      retryDelaysMs: RETRY_DELAYS_MS,
      tryTimeoutMs: TRY_TIMEOUT_MS,
      stopGraceMs: STOP_GRACE_MS,
      random: Math.random,
      ...options,
    };
    this.agent = callbackAgent({ allowPrivate: options.settings.CALLBACK_ALLOW_PRIVATE, ...(lookup && { lookup }) });
  }

  onApplicationBootstrap(): void {
    this.start();
  }

  /** Before the database is closed. What finishes later is left to other pods, or to the next start. */
  async beforeApplicationShutdown(): Promise<void> {
    await this.stop();
  }

  /** Without a key to sign with, nothing is sent: what is pending waits for one. */
  start(): void {
    if (this.options.settings.CALLBACK_SECRETS.length > 0) this.loop = this.run();
  }

  /** There may be something new to deliver. */
  wake(): void {
    this.isWoken = true;
    if (!this.isDown) this.endPause();
  }

  /** Lets tries in flight end for a moment, then gives back the rest. */
  async stop(): Promise<void> {
    this.isStopping = true;
    this.endPause();
    await within(
      this.options.stopGraceMs,
      this.loop.then(() => this.flightsEnd()),
    );
    for (const { abort } of this.flights.values()) abort.abort();
    await within(LAST_WRITES_MS, this.flightsEnd());
    await this.agent.destroy();
  }

  private async flightsEnd(): Promise<void> {
    await Promise.all([...this.flights.values()].map(({ ended }) => ended));
  }

  private async run(): Promise<void> {
    while (!this.isStopping) {
      this.isWoken = false;
      await this.pause(await this.takeUpDue());
    }
  }

  private async pause(ms: number): Promise<void> {
    if (this.isStopping || (this.isWoken && !this.isDown)) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms).unref();
      this.endPause = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** How long there will be nothing to do, in milliseconds. */
  private async takeUpDue(): Promise<number> {
    try {
      const pauseMs = await this.takeUp();
      if (this.isDown) this.logger.log('callbacks are delivered again');
      this.isDown = false;
      return pauseMs;
    } catch (error) {
      this.tellDown(error);
      return DOWN_RETRY_MS;
    }
  }

  private async takeUp(): Promise<number> {
    const limit = Math.min(CLAIM_SIZE, AT_ONCE - this.flights.size);
    // The end of a try wakes us.
    if (limit === 0) return IDLE_MS;
    const passedOver = this.busyAccounts();
    const claimed = await this.pending.claim({ limit, claimMs: CLAIM_MS, passedOver });
    for (const callback of claimed) this.takeOff(callback);
    if (claimed.length === limit) return 0;
    const nextMs = (await this.pending.untilNextMs(passedOver)) ?? IDLE_MS;
    return Math.min(Math.max(nextMs, SHORTEST_PAUSE_MS), IDLE_MS);
  }

  private busyAccounts(): string[] {
    const counts = new Map<string, number>();
    for (const { accountId } of this.flights.values()) counts.set(accountId, (counts.get(accountId) ?? 0) + 1);
    return [...counts].filter(([, count]) => count >= BUSY_ACCOUNT).map(([accountId]) => accountId);
  }

  private takeOff(callback: ClaimedCallback): void {
    const { messageId, accountId } = callback;
    // Tried already, only not yet written down: Postgres was away for longer than a claim.
    if (this.flights.has(messageId)) return;
    const abort = new AbortController();
    const ended = this.deliver(callback, abort).finally(() => {
      this.flights.delete(messageId);
      this.wake();
    });
    this.flights.set(messageId, { accountId, abort, ended });
  }

  private async deliver(callback: ClaimedCallback, abort: AbortController): Promise<void> {
    const result = await this.try(callback, abort);
    // Broken off by us, most likely.
    if (this.isStopping && 'error' in result) {
      return this.untilWritten(() => this.pending.giveBack(callback));
    }
    const next = nextRetry(result, {
      tries: callback.tries + 1,
      delaysMs: this.options.retryDelaysMs,
      random: this.options.random(),
    });
    callbackTries.inc({ outcome: next.step });
    await this.untilWritten(() => this.pending.record(callback, { result, next }));
  }

  private async try(callback: ClaimedCallback, abort: AbortController): Promise<TryResult> {
    const { settings, tryTimeoutMs } = this.options;
    // What was allowed when the message came may not be allowed any more.
    const refusal = callbackRefusal(callback.url, settings);
    if (refusal !== undefined) return { error: `callbackUrl ${refusal}` };
    const timer = setTimeout(() => abort.abort(new DOMException('no answer in time', 'TimeoutError')), tryTimeoutMs);
    try {
      return await postCallback(callback, { agent: this.agent, keys: settings.CALLBACK_SECRETS, signal: abort.signal });
    } finally {
      clearTimeout(timer);
    }
  }

  /** An outcome that is lost costs the receiver a repetition, so it is kept while Postgres is away. */
  private async untilWritten(write: () => Promise<void>): Promise<void> {
    for (;;) {
      try {
        return await write();
      } catch (error) {
        this.tellDown(error);
        if (this.isStopping) return;
        await sleep(DOWN_RETRY_MS, undefined, { ref: false });
      }
    }
  }

  private tellDown(error: unknown): void {
    // The cause alone: Drizzle puts the query's parameters into its own message.
    const reason = error instanceof DrizzleQueryError ? error.cause?.message : String(error);
    if (!this.isDown) this.logger.warn('callbacks wait for the database', { reason });
    this.isDown = true;
  }
}

/** Waits for the work, but not longer than that. */
async function within(ms: number, work: Promise<void>): Promise<void> {
  const timer = new AbortController();
  await Promise.race([work, sleep(ms, undefined, { signal: timer.signal }).catch(() => undefined)]);
  timer.abort();
}
