import { Injectable, Logger } from '@nestjs/common';
import {
  BrokenCircuitError,
  circuitBreaker,
  type CircuitBreakerPolicy,
  CircuitState,
  DelegateBackoff,
  handleWhenResult,
} from 'cockatiel';
import { Counter } from 'prom-client';
import { waitMsOf } from '#quota';
import type { SendResult } from './answer-reader.js';
import type { Provider } from './providers-file.js';

/** Consecutive failures after which the gateway pauses an account. */
const FAILURES_MAX = 5;
/** The same for an account that no connection reaches: nothing was sent, and its failures say why. */
const UNREACHABLE_MAX = 8;
/** First pause of an account; each failed probe doubles it. */
const FIRST_PAUSE_MS = 1_000;
/** First pause of an account that may not send: a key is seldom mended within seconds. */
const UNAUTHORIZED_PAUSE_MS = 2_000;
const PAUSE_MAX_MS = 60_000;
/** Pauses are spread by this part, so that pods and accounts do not probe together. */
const SPREAD = 0.1;
/** An account with this many requests and no answer may be hanging: further messages are not sent to it. */
const UNANSWERED_MAX = 2;
/** Shortest time without an answer that makes an account hang, and how many usual answer times it takes. */
const HANGING_MS = 250;
const HANGING_FACTOR = 3;
/** Shortest time that a hedged probe waits for its answer, and how many usual answer times it waits. */
const PATIENCE_MS = 150;
const PATIENCE_FACTOR = 2;
/** Weight of the latest answer in the usual answer time. */
const LATEST_WEIGHT = 0.2;

export interface Pause {
  reason: string;
  waitMs: number;
}

const pauses = new Counter({
  name: 'octo_account_pauses_total',
  help: 'Pauses of provider accounts, and failed probes that made them longer',
  labelNames: ['account'] as const,
});

/**
 * The health of each provider account, as this pod sees it.
 *
 * `closed`: messages are sent. Failures in a row, a refusal of an account without quota, or one answer that says that the
 * account may not send, open the circuit. `open`: the account is paused. When the pause is over, one message probes the
 * account (`half open`); success closes the circuit, failure doubles the pause.
 */
@Injectable()
export class AccountHealth {
  private readonly accounts = new Map<string, Account>();

  /** Why the gateway does not send to an account now; undefined when it does. */
  pauseOf(provider: Provider): Pause | undefined {
    return this.accountOf(provider)?.pause;
  }

  /** Whether the account is paused, or was and has not been probed with success since. */
  isInTrouble(provider: Provider): boolean {
    return this.accountOf(provider)?.isInTrouble ?? false;
  }

  /** Whether the account has requests in flight and has not answered for longer than usual. */
  isHanging(provider: Provider): boolean {
    return this.accountOf(provider)?.isHanging ?? false;
  }

  /** How long a hedged message waits for an answer: Infinity unless it probes an account that is paused for hanging. */
  patienceMs(provider: Provider): number {
    return this.accountOf(provider)?.patienceMs ?? Infinity;
  }

  /** Sends through the circuit breaker. Undefined when the account was paused meanwhile: nothing was sent. */
  async send(provider: Provider, work: () => Promise<SendResult>): Promise<SendResult | undefined> {
    let account = this.accountOf(provider);
    if (account === undefined) {
      account = new Account(provider);
      this.accounts.set(provider.key, account);
    }
    return account.send(work);
  }

  /** Undefined for an account without requests so far, or with another definition: a new key starts with a clean record. */
  private accountOf(provider: Provider): Account | undefined {
    const account = this.accounts.get(provider.key);
    return account?.isOf(provider) === true ? account : undefined;
  }
}

class Account {
  private readonly logger = new Logger('accounts');
  private readonly breaker: CircuitBreakerPolicy;
  private readonly unanswered = new Set<{ startedMs: number }>();
  private lastAnswerMs = -Infinity;
  /** Usual time of an answer; undefined before the first one. */
  private usualMs: number | undefined;
  private failures = 0;
  private lastReason = '';
  private latest: SendResult | undefined;
  private latestTookMs = 0;
  private pauseUntilMs = 0;

  constructor(private readonly provider: Provider) {
    this.breaker = circuitBreaker(
      handleWhenResult((result) => this.isFailure(result as SendResult)),
      {
        halfOpenAfter: new DelegateBackoff<{ attempt: number }>(({ attempt }) => this.pauseMs(attempt)),
        breaker: { state: undefined, success: () => this.succeeded(), failure: () => this.failed() },
      },
    );
    this.breaker.onReset(() => this.resumed());
    pauses.inc({ account: provider.key }, 0);
  }

  get isInTrouble(): boolean {
    return this.breaker.state !== CircuitState.Closed;
  }

  get pause(): Pause | undefined {
    const { state } = this.breaker;
    if (state === CircuitState.Closed) return undefined;
    const waitMs = this.pauseUntilMs - performance.now();
    // The pause is over: the next message probes the account.
    if (state === CircuitState.Open) return waitMs <= 0 ? undefined : { reason: this.lastReason, waitMs };
    // A probe is in flight.
    return { reason: this.lastReason, waitMs: FIRST_PAUSE_MS };
  }

  /** Only an account that was slow to fail: a probe that fails at once needs no patience. */
  get patienceMs(): number {
    const patienceMs = Math.max(PATIENCE_MS, PATIENCE_FACTOR * (this.usualMs ?? 0));
    return this.breaker.state === CircuitState.Open && this.latestTookMs > patienceMs ? patienceMs : Infinity;
  }

  isOf({ definition, quota }: Provider): boolean {
    const { provider } = this;
    return provider.definition === definition && (provider.quota === undefined) === (quota === undefined);
  }

  get isHanging(): boolean {
    if (this.unanswered.size < UNANSWERED_MAX) return false;
    const [oldest] = this.unanswered;
    if (oldest === undefined || this.lastAnswerMs > oldest.startedMs) return false;
    const limitMs = Math.max(HANGING_MS, HANGING_FACTOR * (this.usualMs ?? 0));
    return performance.now() - oldest.startedMs > limitMs;
  }

  async send(work: () => Promise<SendResult>): Promise<SendResult | undefined> {
    if (this.pause !== undefined) return undefined;
    const request = { startedMs: performance.now() };
    this.unanswered.add(request);
    try {
      return await this.breaker.execute(async () => {
        const result = await work();
        this.noteAnswer(result, request.startedMs);
        return result;
      });
    } catch (error) {
      if (error instanceof BrokenCircuitError) return undefined;
      throw error;
    } finally {
      this.unanswered.delete(request);
    }
  }

  private noteAnswer(result: SendResult, startedMs: number): void {
    this.latest = result;
    const nowMs = performance.now();
    const tookMs = nowMs - startedMs;
    this.latestTookMs = tookMs;
    if (result.httpStatus === null) return;
    this.lastAnswerMs = nowMs;
    this.usualMs = this.usualMs === undefined ? tookMs : this.usualMs + LATEST_WEIGHT * (tookMs - this.usualMs);
  }

  /** A rejected message says nothing about the account. Refusals are the business of the quota, where there is one. */
  private isFailure({ outcome }: SendResult): boolean {
    if (outcome === 'delivered' || outcome === 'rejected') return false;
    return outcome !== 'refused' || this.provider.quota === undefined;
  }

  private succeeded(): void {
    this.failures = 0;
    this.lastReason = '';
  }

  /** @returns whether the account is paused from now on */
  private failed(): boolean {
    const { latest } = this;
    this.failures += 1;
    const reason = latest === undefined || latest.outcome === 'delivered' ? 'failed' : latest.reason;
    const isFinal = latest?.outcome === 'unauthorized' || latest?.outcome === 'refused';
    const failuresMax = latest?.outcome === 'notSent' ? UNREACHABLE_MAX : FAILURES_MAX;
    // Sends to a hanging account cost their callers a whole time-out each: the first one is enough.
    const isPausedNow = isFinal || this.isHanging || this.failures >= failuresMax;
    // A pause has a warning of its own.
    if (reason !== this.lastReason && !isPausedNow) {
      this.logger.warn('provider account failed', { account: this.provider.key, status: latest?.httpStatus, reason });
    }
    this.lastReason = reason;
    return isPausedNow;
  }

  /** Doubles with each failed probe; at least as long as a refusal says, at least as long as a time-out takes. */
  private pauseMs(attempt: number): number {
    const { latest, provider } = this;
    const retryAfterMs = latest?.settlement.outcome === 'refused' ? waitMsOf(latest.settlement.announced) : undefined;
    const growingMs = Math.min(PAUSE_MAX_MS, firstPauseMs(latest?.outcome, provider) * 2 ** Math.max(0, attempt - 1));
    const spread = SPREAD * Math.random();
    // A wait that the provider names is never cut short.
    const delayMs = Math.ceil(Math.max(growingMs * (1 - SPREAD + 2 * spread), (retryAfterMs ?? 0) * (1 + spread)));
    this.pauseUntilMs = performance.now() + delayMs;
    pauses.inc({ account: provider.key });
    if (attempt <= 1) this.logPause(delayMs);
    return delayMs;
  }

  private logPause(pauseMs: number): void {
    const { latest, lastReason: reason, provider } = this;
    this.logger.warn('provider account paused', {
      account: provider.key,
      status: latest?.httpStatus ?? undefined,
      reason,
      pauseMs,
    });
  }

  private resumed(): void {
    this.logger.log('provider account resumed', { account: this.provider.key });
  }
}

function firstPauseMs(outcome: SendResult['outcome'] | undefined, { timeoutMs }: Provider): number {
  if (outcome === 'unauthorized') return UNAUTHORIZED_PAUSE_MS;
  return outcome === 'unknown' ? Math.max(FIRST_PAUSE_MS, 2 * timeoutMs) : FIRST_PAUSE_MS;
}
