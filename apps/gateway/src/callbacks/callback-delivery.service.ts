import { setTimeout as sleep } from 'node:timers/promises';
import { type BeforeApplicationShutdown, Logger, type OnApplicationBootstrap } from '@nestjs/common';
import { Counter } from 'prom-client';
import type { Agent } from 'undici';
import { databaseReason } from '#database';
import { BackgroundLoop, OutageLog } from '#service';
import { InFlight } from '../in-flight.js';
import { callbackAgent, type Lookup } from './callback-agent.js';
import { callbackRefusal } from './callback-refusal.js';
import type { CallbackSettings } from './callback-settings.js';
import type { ClaimedCallback, PendingCallbacks } from './pending-callbacks.service.js';
import { type AttemptResult, postCallback } from './post-callback.js';
import { nextStep, RETRY_DELAYS_MS } from './retry-policy.js';
import { signingKeys } from './signing-keys.js';

export interface CallbackDeliveryOptions {
  settings: CallbackSettings;
  /** Delays between attempts; one attempt more than there are delays. */
  retryDelaysMs?: readonly number[];
  /** Timeout of an attempt, from connecting to the end of the answer. */
  attemptTimeoutMs?: number;
  /** How long attempts in flight may continue when the process stops. */
  stopGraceMs?: number;
  /** Resolves host names; by default the system does. */
  lookup?: Lookup;
  random?: () => number;
}

const ATTEMPT_TIMEOUT_MS = 10_000;
/** Longer than an attempt and the write of its outcome: a claim expires only when its process has died. */
const CLAIM_MS = 30_000;
/** Most attempts in flight at one pod, and most callbacks in one claim. */
const MAX_CONCURRENT = 64;
const CLAIM_SIZE = 16;
/** With this many attempts in flight an account is skipped: a slow receiver must not delay other accounts. */
const ACCOUNT_MAX_CONCURRENT = 16;
/** Poll interval when no callback is known to be due: other pods leave callbacks behind. */
const POLL_MS = 5_000;
/** Shortest pause: a due callback was just claimed by another pod, or is due within the same millisecond. */
const PAUSE_MIN_MS = 5;
/** Pause after Postgres failed. */
const RETRY_MS = 1_000;
const STOP_GRACE_MS = 2_000;
/** How long the outcomes of aborted attempts may take to be written. */
const LAST_WRITES_MS = 1_000;

export const callbackTries = new Counter({
  name: 'octo_callback_tries_total',
  help: 'Attempts to deliver a callback by the step that followed: delivered, retry or given up',
  labelNames: ['outcome'] as const,
});

interface Attempt {
  accountId: string;
  abort: AbortController;
}

/**
 * Delivers callbacks at least once. Every pod claims callbacks that are due, posts them and records the outcomes. The
 * statement that ends a message inserts its callback; call `wake` after it.
 */
export class CallbackDelivery implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly outage = new OutageLog(new Logger('callbacks'), {
    failed: 'callback delivery is down',
    recovered: 'callback delivery is back',
  });
  private readonly options: Required<Omit<CallbackDeliveryOptions, 'lookup'>>;
  private readonly agent: Agent;
  /** Attempts in flight, by message id. */
  private readonly attempts = new Map<string, Attempt>();
  private readonly inFlight = new InFlight();
  private readonly loop = new BackgroundLoop(
    () => this.claimDue(),
    (error) => this.noteFailure(error),
  );
  private isStopping = false;

  constructor(
    private readonly pending: PendingCallbacks,
    { lookup, ...options }: CallbackDeliveryOptions,
  ) {
    this.options = {
      retryDelaysMs: RETRY_DELAYS_MS,
      attemptTimeoutMs: ATTEMPT_TIMEOUT_MS,
      stopGraceMs: STOP_GRACE_MS,
      random: Math.random,
      ...options,
    };
    this.agent = callbackAgent({ allowPrivate: options.settings.CALLBACK_ALLOW_PRIVATE, ...(lookup && { lookup }) });
  }

  onApplicationBootstrap(): void {
    this.start();
  }

  /** Runs before the database is closed. Callbacks that become due later are left to other pods, or to the next start. */
  async beforeApplicationShutdown(): Promise<void> {
    await this.stop();
  }

  /** Without a key to sign with, callbacks stay pending until one is configured. */
  start(): void {
    if (this.options.settings.CALLBACK_SECRETS.length > 0) this.loop.start();
  }

  /** There may be a new callback to deliver. While Postgres is down the loop keeps its pause: a query would only fail. */
  wake(): void {
    if (!this.outage.isDown) this.loop.wake();
  }

  /** Gives attempts in flight a grace period, then aborts the rest and releases their claims. */
  async stop(): Promise<void> {
    this.isStopping = true;
    await endedWithin(
      this.options.stopGraceMs,
      this.loop.close().then(() => this.inFlight.drain()),
    );
    for (const { abort } of this.attempts.values()) abort.abort();
    await endedWithin(LAST_WRITES_MS, this.inFlight.drain());
    await this.agent.destroy();
  }

  /** Starts an attempt for each callback it claims. @returns the pause before the next claim, in milliseconds */
  private async claimDue(): Promise<number> {
    const limit = Math.min(CLAIM_SIZE, MAX_CONCURRENT - this.attempts.size);
    // At the maximum, a finished attempt wakes the loop.
    if (limit === 0) return POLL_MS;
    const skippedAccounts = this.busyAccounts();
    const claimed = await this.pending.claimDue({ limit, claimMs: CLAIM_MS, skippedAccounts });
    this.outage.recovered();
    for (const callback of claimed) this.startAttempt(callback);
    if (claimed.length === limit) return 0;
    const dueInMs = (await this.pending.nextDueInMs(skippedAccounts)) ?? POLL_MS;
    return Math.min(Math.max(dueInMs, PAUSE_MIN_MS), POLL_MS);
  }

  private busyAccounts(): string[] {
    const counts = new Map<string, number>();
    for (const { accountId } of this.attempts.values()) counts.set(accountId, (counts.get(accountId) ?? 0) + 1);
    return [...counts].filter(([, count]) => count >= ACCOUNT_MAX_CONCURRENT).map(([accountId]) => accountId);
  }

  private startAttempt(callback: ClaimedCallback): void {
    const { messageId, accountId } = callback;
    // Already posted, but the outcome is not written yet: Postgres was down for longer than a claim lives.
    if (this.attempts.has(messageId)) return;
    const abort = new AbortController();
    this.attempts.set(messageId, { accountId, abort });
    this.inFlight.add(this.deliver(callback, abort), () => {
      this.attempts.delete(messageId);
      this.wake();
    });
  }

  private async deliver(callback: ClaimedCallback, abort: AbortController): Promise<void> {
    const result = await this.post(callback, abort);
    // The shutdown most likely aborted the attempt.
    if (this.isStopping && 'error' in result) return this.retryUntilWritten(() => this.pending.release(callback));
    const next = nextStep(result, {
      attempts: callback.tries + 1,
      delaysMs: this.options.retryDelaysMs,
      random: this.options.random(),
    });
    callbackTries.inc({ outcome: next.step });
    await this.retryUntilWritten(() => this.pending.record(callback, { result, next }));
  }

  private async post(callback: ClaimedCallback, abort: AbortController): Promise<AttemptResult> {
    const { settings, attemptTimeoutMs } = this.options;
    // The settings may have changed since the message was accepted.
    const refusal = callbackRefusal(callback.url, settings);
    if (refusal !== undefined) return { error: `callbackUrl ${refusal}` };
    const keys = signingKeys(callback, settings);
    if (keys.length === 0) return { error: 'CALLBACK_MASTER_SECRETS is not set' };
    const timeout = new DOMException(`no answer within ${attemptTimeoutMs} ms`, 'TimeoutError');
    const timer = setTimeout(() => abort.abort(timeout), attemptTimeoutMs);
    try {
      return await postCallback(callback, { agent: this.agent, keys, signal: abort.signal });
    } finally {
      clearTimeout(timer);
    }
  }

  /** A lost outcome makes the receiver get the callback twice, so the pod keeps the outcome while Postgres is down. */
  private async retryUntilWritten(write: () => Promise<void>): Promise<void> {
    for (;;) {
      try {
        await write();
        this.outage.recovered();
        return;
      } catch (error) {
        const pauseMs = this.noteFailure(error);
        if (this.isStopping) return;
        await sleep(pauseMs, undefined, { ref: false });
      }
    }
  }

  /** @returns the pause before the next try, in milliseconds */
  private noteFailure(error: unknown): number {
    this.outage.failed({ reason: databaseReason(error) });
    return RETRY_MS;
  }
}

/** Resolves when the work has ended, or after `ms` milliseconds. */
async function endedWithin(ms: number, work: Promise<void>): Promise<void> {
  const timer = new AbortController();
  await Promise.race([work, sleep(ms, undefined, { signal: timer.signal }).catch(() => undefined)]);
  timer.abort();
}
