import type { Permit, QuotaEvent, QuotaState, Reservation, Settlement } from './permit.js';
import type { QuotaPolicy } from './policy.js';
import type { QuotaStore, StepReply, WhenForgotten } from './quota-store.js';
import { SettlementBatch } from './settlement-batch.js';

export interface ProviderQuotaOptions {
  provider: string;
  policy: QuotaPolicy;
  /** How long a send may wait for its answer; after that the permit is settled as unknown. */
  timeoutMs: number;
  podId: string;
  whenForgotten: WhenForgotten;
  /** How long a caller waits for the store before going on without. */
  budgetMs: number;
  /** How long a permit may be held before it is used. */
  permitMs: number;
  onEvent: (event: QuotaEvent) => void;
}

/** Timers fire late; a permit is given up by Redis only after its holder certainly has. */
const TIMER_SLACK_MS = 250;
/** How long a permit nobody took is kept for the next caller. */
const SPARE_MS = 50;
/** How long a step is repeated that Redis did not confirm: its permits are long given up, its pod nearly forgotten. */
const REPEAT_MS = 300_000;
/** How soon a step that failed without a lost connection is tried again when nobody asks. */
const RETRY_MS = 500;

interface Step {
  seq: number;
  want: number;
  settlements: SettlementBatch;
  /** Permits are dated from the first try: Redis granted them no earlier. */
  startedAtMs: number;
}

type Waiter = (reservation: Reservation) => void;

/**
 * One pod's side of one provider's quota. Group commit: a single step is in flight, callers that arrive meanwhile form
 * the next one; settlements ride along. While blocked it answers from memory.
 */
export class ProviderQuota {
  /** Round trips to Redis so far. */
  trips = 0;

  private readonly holdMs: number;
  private readonly flushMs: number;
  private waiters: Waiter[] = [];
  private settlements = new SettlementBatch();
  /** Granted, but whoever asked had gone on without: serves the next caller. */
  private spares: Permit[] = [];
  private readonly unsettled = new Set<Permit>();
  /** Sent, and Redis did not say what it did: the same step is sent again before any other. */
  private unconfirmed: Step | undefined;
  private running: Promise<void> | undefined;
  private sentAtMs: number | undefined;
  private flush: { timer: NodeJS.Timeout; atMs: number } | undefined;
  private seq = 0;
  private knownEpoch = 0;
  /** The latest epoch in which the provider refused this pod. */
  private refusedEpoch = 0;
  /** Settlements must not wait for the next caller any longer. */
  private isFlushDue = false;
  private isSpent = false;
  private blockedUntilMs = 0;
  private isLost = false;
  private isClosed = false;

  constructor(
    private readonly store: QuotaStore,
    private readonly options: ProviderQuotaOptions,
  ) {
    this.holdMs = options.permitMs + options.timeoutMs + TIMER_SLACK_MS;
    // Soon enough that a window's end is known well before it reopens, and that no settled permit runs out.
    this.flushMs = Math.max(5, Math.min(options.policy.blockMs / 8, this.holdMs / 2));
    store.onConnected(() => this.flushNow());
  }

  /** Asks for a permit. One trip at most, shared with whoever asks at the same time; none while known to be blocked. */
  reserve(): Promise<Reservation> {
    const nowMs = performance.now();
    const spare = this.takeSpare(nowMs);
    if (spare !== undefined) return Promise.resolve({ granted: true, permit: spare });
    if (nowMs < this.blockedUntilMs) {
      return Promise.resolve({ granted: false, reason: 'blocked', waitMs: this.blockedUntilMs - nowMs });
    }
    if (!this.isAnswering(nowMs)) return Promise.resolve({ granted: false, reason: 'unavailable' });
    return new Promise((resolve) => {
      this.waiters.push(resolve);
      this.wake();
    });
  }

  /** Says what became of a permit. A second settlement of the same permit changes nothing. */
  settle(permit: Permit, settlement: Settlement): void {
    if (!this.unsettled.delete(permit)) return;
    this.settlements.add({ permit, settlement, nowMs: performance.now() });
    if (settlement.outcome === 'refused') this.noteRefusal(permit, settlement.retryAfterMs);
    // The last one out of a spent window closes it; a slot given back may be wanted by another pod.
    const isUrgent = settlement.outcome === 'refused' || settlement.outcome === 'notSent';
    // At the latest when it would be given up as unknown.
    const untilGivenUpMs = permit.sendByMs + this.options.timeoutMs - performance.now();
    const isLastOut = this.isSpent && this.unsettled.size === 0;
    this.flushWithin(isUrgent || isLastOut ? 0 : Math.max(0, Math.min(this.flushMs, untilGivenUpMs)));
  }

  /** The quota as the store sees it now: one trip; undefined when the store does not answer. */
  async state(): Promise<QuotaState | undefined> {
    if (!this.isAnswering(performance.now())) return undefined;
    try {
      // Number 0 comes before every step of this pod: it asks, and changes nothing that a step would.
      const peek = { seq: 0, want: 0, settlements: new SettlementBatch(), startedAtMs: 0 };
      const { state, epoch, limit, used, waitMs } = await this.send(peek);
      return { state, epoch, limit, used, waitMs };
    } catch {
      return undefined;
    }
  }

  /** Gives back what is held and delivers the last settlements, if the store answers. */
  async close(): Promise<void> {
    this.isClosed = true;
    this.answerWaiting({ granted: false, reason: 'unavailable' });
    await this.running;
    this.refundSpares(Infinity);
    this.cancelFlush();
    this.isFlushDue = true;
    if (this.hasWork() && this.store.isConnected) await this.run();
  }

  private takeSpare(nowMs: number): Permit | undefined {
    if (this.spares.length === 0) return undefined;
    this.refundSpares(nowMs);
    return this.spares.shift();
  }

  /** Gives back the spare permits that must be sent before `nowMs`. */
  private refundSpares(nowMs: number): void {
    const tooOld = this.spares.filter((permit) => permit.sendByMs <= nowMs);
    this.spares = this.spares.filter((permit) => permit.sendByMs > nowMs);
    for (const permit of tooOld) this.settle(permit, { outcome: 'notSent' });
  }

  /** Not connected, or a step in flight for longer than a caller would wait: asking would only cost time. */
  private isAnswering(nowMs: number): boolean {
    if (this.isClosed || !this.store.isConnected) return false;
    return this.sentAtMs === undefined || nowMs - this.sentAtMs < this.options.budgetMs;
  }

  private flushNow(): void {
    this.isFlushDue = true;
    if (this.hasWork()) this.wake();
  }

  private wake(): void {
    this.running ??= this.run();
  }

  private async run(): Promise<void> {
    // Callers that arrive in the same turn of the event loop share the step.
    await Promise.resolve();
    try {
      while (this.hasWork()) {
        this.forgetOldStep();
        if (!this.hasWork()) return;
        const isRepeat = this.unconfirmed !== undefined;
        const step = this.unconfirmed ?? this.compose();
        const isDone = await this.commit(step, isRepeat ? [] : this.waiters.splice(0));
        if (isDone) continue;
        // Whoever has come since it failed: nothing would wake them.
        this.answerWaiting({ granted: false, reason: 'unavailable' });
        return;
      }
    } finally {
      // In the same turn as the last look for work: whoever comes later wakes it again.
      this.running = undefined;
    }
  }

  private hasWork(): boolean {
    if (this.waiters.length > 0 || this.unconfirmed !== undefined) return true;
    return this.isFlushDue && !this.settlements.isEmpty;
  }

  private forgetOldStep(): void {
    const sentAtMs = this.unconfirmed?.startedAtMs ?? Infinity;
    if (performance.now() - sentAtMs > REPEAT_MS) this.unconfirmed = undefined;
  }

  private compose(): Step {
    this.cancelFlush();
    this.isFlushDue = false;
    const { settlements } = this;
    this.settlements = new SettlementBatch();
    this.seq += 1;
    return { seq: this.seq, want: this.waiters.length, settlements, startedAtMs: performance.now() };
  }

  /** False when the store did not answer: the step stays unconfirmed. */
  private async commit(step: Step, asking: Waiter[]): Promise<boolean> {
    const giveUp = (): void => {
      answer(asking, { granted: false, reason: 'unavailable' });
      this.answerWaiting({ granted: false, reason: 'unavailable' });
    };
    const outOfPatience = setTimeout(giveUp, this.options.budgetMs);
    this.sentAtMs = performance.now();
    try {
      const reply = await this.send(step);
      this.unconfirmed = undefined;
      this.noteStore({ isLost: false });
      this.apply(reply, step, asking);
      return true;
    } catch (error) {
      this.unconfirmed = step;
      this.noteStore({ isLost: true, error });
      giveUp();
      this.flushWithin(RETRY_MS);
      return false;
    } finally {
      this.sentAtMs = undefined;
      clearTimeout(outOfPatience);
    }
  }

  private async send(step: Step): Promise<StepReply> {
    const { provider, policy, podId, whenForgotten } = this.options;
    this.trips += 1;
    const nowMs = performance.now();
    const reply = await this.store.step({
      provider,
      policy,
      podId,
      seq: step.seq,
      want: step.want,
      holdMs: this.holdMs,
      whenForgotten,
      knownEpoch: this.knownEpoch,
      settlements: step.settlements,
      nowMs,
    });
    // Permits kept for the next caller are of a window that is over, or closed.
    if (reply.state === 'blocked' || reply.epoch > this.knownEpoch) this.refundSpares(Infinity);
    this.knownEpoch = Math.max(this.knownEpoch, reply.epoch);
    this.isSpent = reply.state === 'spent';
    // From when it was sent: rather a trip early, when Redis decides, than late because the answer was slow to be read.
    // Never shorter than what is remembered, whatever Redis's clock has come to think.
    if (reply.state === 'blocked') this.blockedUntilMs = Math.max(this.blockedUntilMs, nowMs + reply.waitMs);
    if (reply.event !== undefined) {
      this.options.onEvent({ event: reply.event, provider, epoch: reply.epoch, waitMs: reply.waitMs });
    }
    return reply;
  }

  private apply(reply: StepReply, step: Step, asking: Waiter[]): void {
    const sendByMs = step.startedAtMs + this.options.permitMs;
    const { epoch, generation } = reply;
    // Run out on the way, or of a window that has closed meanwhile: nothing was sent, nothing may be.
    const isTooLate = performance.now() >= sendByMs || reply.state === 'blocked' || epoch <= this.refusedEpoch;
    for (let granted = 0; granted < reply.granted; granted += 1) {
      const permit: Permit = { provider: this.options.provider, epoch, generation, sendByMs };
      this.unsettled.add(permit);
      // Those who asked may have gone on without; then whoever has come since is served.
      const waiter = isTooLate ? undefined : (asking.shift() ?? this.waiters.shift());
      if (waiter === undefined) this.spares.push(permit);
      else waiter({ granted: true, permit });
    }
    if (isTooLate) this.refundSpares(Infinity);
    // An open quota has granted all that were wanted: those still asking met a spent or a blocked one.
    const reason = reply.state === 'blocked' ? 'blocked' : 'spent';
    if (isTooLate && reason === 'spent') answer(asking, { granted: false, reason: 'unavailable' });
    answer(asking, { granted: false, reason, waitMs: reply.waitMs });
    if (reason === 'blocked') this.answerWaiting({ granted: false, reason, waitMs: reply.waitMs });
    if (this.spares.length > 0) this.flushWithin(SPARE_MS);
  }

  /** Sends what has settled within that time, unless a caller's step takes it along earlier. */
  private flushWithin(delayMs: number): void {
    if (this.isClosed) {
      if (this.store.isConnected) this.flushNow();
      return;
    }
    const atMs = performance.now() + delayMs;
    if (this.flush !== undefined && this.flush.atMs <= atMs) return;
    this.cancelFlush();
    const timer = setTimeout(() => {
      this.flush = undefined;
      this.refundSpares(performance.now() + this.options.permitMs - SPARE_MS);
      if (this.store.isConnected) this.flushNow();
    }, delayMs);
    this.flush = { timer, atMs };
  }

  private cancelFlush(): void {
    clearTimeout(this.flush?.timer);
    this.flush = undefined;
  }

  private noteRefusal(permit: Permit, retryAfterMs: number | undefined): void {
    // The provider is closed: what is held for the next caller, or on its way to us, can no longer be sent.
    this.refusedEpoch = Math.max(this.refusedEpoch, permit.epoch);
    if (permit.epoch === this.knownEpoch) this.refundSpares(Infinity);
    this.options.onEvent({ event: 'refused', provider: permit.provider, epoch: permit.epoch, retryAfterMs });
  }

  private noteStore({ isLost, error }: { isLost: boolean; error?: unknown }): void {
    if (this.isLost === isLost) return;
    this.isLost = isLost;
    this.options.onEvent({ event: isLost ? 'store lost' : 'store back', provider: this.options.provider, error });
  }

  private answerWaiting(reservation: Reservation): void {
    answer(this.waiters, reservation);
  }
}

/** Answers all of them and leaves none behind. */
function answer(waiters: Waiter[], reservation: Reservation): void {
  for (const waiter of waiters.splice(0)) waiter(reservation);
}
