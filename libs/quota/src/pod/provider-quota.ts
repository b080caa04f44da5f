import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import { Credibility } from '../announcements/credibility.js';
import { Demand } from './demand.js';
import { EarliestTimer } from './earliest-timer.js';
import { KnownQuota } from './known-quota.js';
import { PermitsInHand } from './permits-in-hand.js';
import type { Permit, QuotaEvent, QuotaState, Reservation, Settlement } from '../permit.js';
import { type LimitedPolicy, periodMsOf } from '../policy.js';
import type { QuotaStore, StepReply, WhenForgotten } from '../store/quota-store.js';
import { SettlementBatch } from '../store/settlement-batch.js';

export interface ProviderQuotaOptions {
  provider: string;
  policy: LimitedPolicy;
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
/** How long a permit nobody took, or that was taken ahead, is kept for the next caller. */
const SPARE_MS = 50;
/** How long a step is repeated that Redis did not confirm: its permits are long given up, its pod nearly forgotten. */
const REPEAT_MS = 300_000;
/** How soon a step that failed without a lost connection is tried again when nobody asks. */
const RETRY_MS = 500;
/** With so many requests under way their answers come, and new callers with them, several in each millisecond. */
const CROWD = 32;
/** A step of a crowd that has fewer callers waits for more of them. */
const CROWD_SHARES = 8;
const GATHER_MS = 1;
/** Parts of a period within which answers are told as one. */
const RESOLUTION = 256;

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
  private readonly resolutionMs: number;
  private readonly inHand = new PermitsInHand();
  private readonly credibility: Credibility;
  private readonly demand = new Demand();
  private readonly known: KnownQuota;
  private waiters: Waiter[] = [];
  private settlements: SettlementBatch;
  /** Sent, and Redis did not say what it did: the same step is sent again before any other. */
  private unconfirmed: Step | undefined;
  private running: Promise<void> | undefined;
  /** The step in flight has taken longer than a caller would wait. */
  private isOverdue = false;
  private readonly flush = new EarliestTimer(() => this.flushDue());
  private seq = 0;
  /** When the provider last refused this pod. */
  private refusedAtMs = -Infinity;
  /** Settlements must not wait for the next caller any longer. */
  private isFlushDue = false;
  /** The store was away: is it still where this pod left it? */
  private isCheckDue = false;
  /** Slots and tokens come back in time, whether or not the others have settled. */
  private readonly closesWhenSettled: boolean;
  /** A permit on its way at the end of a fixed window counts in both, also one that waits for its caller. */
  private readonly takesAhead: boolean;
  private isLost = false;
  private isClosed = false;

  constructor(
    private readonly store: QuotaStore,
    private readonly options: ProviderQuotaOptions,
  ) {
    this.holdMs = options.permitMs + options.timeoutMs + TIMER_SLACK_MS;
    const periodMs = periodMsOf(options.policy);
    this.flushMs = flushMsOf(options.policy, this.holdMs);
    this.resolutionMs = options.policy.policy === 'count-then-block' ? Infinity : Math.max(1, periodMs / RESOLUTION);
    this.closesWhenSettled = options.policy.policy === 'count-then-block';
    this.takesAhead = options.policy.policy !== 'fixed-window';
    this.settlements = this.newBatch();
    this.credibility = new Credibility(options.policy);
    this.known = new KnownQuota(options.provider, options.policy, options.onEvent);
    store.onConnected(() => {
      this.isCheckDue = this.seq > 0;
      this.flushNow();
    });
  }

  /** Asks for a permit. One trip at most, shared with whoever asks at the same time; none while known to be blocked. */
  reserve(): Promise<Reservation> {
    this.demand.note();
    const nowMs = performance.now();
    const spare = this.takeSpare(nowMs);
    if (spare !== undefined) return Promise.resolve({ granted: true, permit: spare });
    const waitMs = this.known.blockedForMs(nowMs);
    if (waitMs > 0) return Promise.resolve({ granted: false, reason: 'blocked', waitMs });
    if (!this.isAnswering) return Promise.resolve({ granted: false, reason: 'unavailable' });
    return new Promise((resolve) => {
      this.waiters.push(resolve);
      this.wake();
    });
  }

  /** How long it is known to stay blocked. */
  get blockedForMs(): number {
    return this.known.blockedForMs(performance.now());
  }

  /** Says what became of a permit. A second settlement of the same permit changes nothing. */
  settle(permit: Permit, settlement: Settlement): void {
    if (!this.inHand.remove(permit)) return;
    const nowMs = performance.now();
    this.settlements.add({ permit, settlement: this.believe(permit, settlement), nowMs });
    if (settlement.outcome === 'refused') this.noteRefusal(permit, settlement.announced?.retryAfterMs);
    // The last one out of a spent window closes it; a slot given back may be wanted by another pod.
    const isUrgent = settlement.outcome === 'refused' || settlement.outcome === 'notSent';
    // At the latest when it would be given up as unknown.
    const untilGivenUpMs = permit.sendByMs + this.options.timeoutMs - nowMs;
    const isLastOut = this.known.isSpent && this.inHand.areAllSettled && this.closesWhenSettled;
    this.flushWithin(isUrgent || isLastOut ? 0 : Math.max(0, Math.min(this.flushMs, untilGivenUpMs)));
  }

  /** The quota as the store sees it now: one trip; undefined when the store does not answer. */
  async state(): Promise<QuotaState | undefined> {
    if (!this.isAnswering) return undefined;
    try {
      // Number 0 comes before every step of this pod: it asks, and changes nothing that a step would.
      const peek = { seq: 0, want: 0, settlements: this.newBatch(), startedAtMs: 0 };
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
    this.flush.cancel();
    if (this.store.isConnected) this.flushNow();
    // The same run that a permit given back has begun: a second one would end before the first has delivered it.
    await this.running;
  }

  private newBatch(): SettlementBatch {
    return new SettlementBatch(this.resolutionMs);
  }

  private believe(permit: Permit, settlement: Settlement): Settlement {
    if (!('announced' in settlement)) return settlement;
    const hadCredit = !this.credibility.isLost;
    const { outcome } = settlement;
    const announced = this.credibility.believe({ outcome, announced: settlement.announced, epoch: permit.epoch });
    if (hadCredit && this.credibility.isLost) {
      this.options.onEvent({ event: 'announcements ignored', provider: permit.provider });
    }
    return { outcome, announced };
  }

  private takeSpare(nowMs: number): Permit | undefined {
    if (!this.inHand.hasSpares) return undefined;
    this.refundSpares(nowMs);
    return this.inHand.takeSpare();
  }

  /** Gives back the spare permits that must be sent before `nowMs`. */
  private refundSpares(nowMs: number): void {
    for (const permit of this.inHand.dropSpares(nowMs)) this.settle(permit, { outcome: 'notSent' });
  }

  /** Not connected, or a step in flight for longer than a caller would wait: asking would only cost time. */
  private get isAnswering(): boolean {
    return !this.isClosed && this.store.isConnected && !this.isOverdue;
  }

  private flushNow(): void {
    this.isFlushDue = true;
    if (this.hasWork()) this.wake();
  }

  private wake(): void {
    this.running ??= this.run();
  }

  private async run(): Promise<void> {
    try {
      while (this.hasWork()) {
        await this.gather();
        this.forgetOldStep();
        if (!this.hasWork()) return;
        const isRepeat = this.unconfirmed !== undefined;
        const step = this.unconfirmed ?? this.compose();
        const isDone = await this.commit(step, { isRepeat, asking: isRepeat ? [] : this.waiters.splice(0) });
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

  /** Callers that arrive in the same turn of the event loop share a step; in a crowd, those of the next moment too. */
  private async gather(): Promise<void> {
    await setImmediate();
    if (this.inHand.handedOut >= CROWD && this.waiters.length < CROWD_SHARES) await sleep(GATHER_MS);
  }

  private hasWork(): boolean {
    if (this.waiters.length > 0 || this.unconfirmed !== undefined || this.isCheckDue) return true;
    return this.isFlushDue && !this.settlements.isEmpty;
  }

  private forgetOldStep(): void {
    const sentAtMs = this.unconfirmed?.startedAtMs ?? Infinity;
    if (performance.now() - sentAtMs > REPEAT_MS) this.unconfirmed = undefined;
  }

  private compose(): Step {
    this.flush.cancel();
    this.isFlushDue = false;
    this.isCheckDue = false;
    const { settlements } = this;
    this.settlements = this.newBatch();
    this.seq += 1;
    const startedAtMs = performance.now();
    const asked = this.waiters.length;
    const want = asked === 0 ? 0 : asked + this.demand.ahead(startedAtMs);
    return { seq: this.seq, want, settlements, startedAtMs };
  }

  /** False when the store did not answer: the step stays unconfirmed. */
  private async commit(step: Step, { isRepeat, asking }: { isRepeat: boolean; asking: Waiter[] }): Promise<boolean> {
    const giveUp = (): void => {
      answer(asking, { granted: false, reason: 'unavailable' });
      this.answerWaiting({ granted: false, reason: 'unavailable' });
    };
    const outOfPatience = setTimeout(() => {
      // Noted, not measured: timers may fire early, and whoever came between the two would wait for the reply.
      this.isOverdue = true;
      giveUp();
    }, this.options.budgetMs);
    try {
      const reply = await this.send(step);
      this.unconfirmed = undefined;
      if (reply.isRecorded) this.known.noteRecorded(step.seq, performance.now());
      this.noteStore({ isLost: false });
      this.apply(reply, step, asking, isRepeat);
      return true;
    } catch (error) {
      this.unconfirmed = step;
      this.noteStore({ isLost: true, error });
      giveUp();
      this.flushWithin(RETRY_MS);
      return false;
    } finally {
      this.isOverdue = false;
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
      knownEpoch: this.known.epoch,
      knownWaitMs: this.known.waitToTellMs(nowMs),
      recordedSeq: this.known.recordedSeq(nowMs),
      settlements: step.settlements,
      nowMs,
    });
    this.note(reply, nowMs);
    return reply;
  }

  /** What a reply tells this pod of the quota. */
  private note(reply: StepReply, askedAtMs: number): void {
    const { state, epoch, limit, used } = reply;
    this.demand.noteLeft(this.takesAhead && state === 'open' ? limit - used : 0);
    // Permits kept for the next caller are of a window that is over, or closed.
    if (state === 'blocked' || epoch > this.known.epoch) this.refundSpares(Infinity);
    this.known.note(reply, askedAtMs);
  }

  private apply(reply: StepReply, step: Step, asking: Waiter[], isRepeat: boolean): void {
    const sendByMs = step.startedAtMs + this.options.permitMs;
    const { epoch, generation, grantedAtMs } = reply;
    // Run out on the way, or of a window that has closed meanwhile: nothing was sent, nothing may be.
    const hasClosed = (isRepeat && reply.state === 'blocked') || step.startedAtMs <= this.refusedAtMs;
    const isTooLate = hasClosed || performance.now() >= sendByMs;
    for (let granted = 0; granted < reply.granted; granted += 1) {
      const permit: Permit = { provider: this.options.provider, epoch, generation, sendByMs, grantedAtMs };
      this.inHand.add(permit);
      // Those who asked may have gone on without; then whoever has come since is served.
      const waiter = isTooLate ? undefined : (asking.shift() ?? this.waiters.shift());
      if (waiter === undefined) this.inHand.keepForNext(permit);
      else waiter({ granted: true, permit });
    }
    if (isTooLate) this.refundSpares(Infinity);
    // An open quota has granted all that were wanted: those still asking met a spent or a blocked one.
    const reason = reply.state === 'blocked' ? 'blocked' : 'spent';
    if (isTooLate && reason === 'spent') answer(asking, { granted: false, reason: 'unavailable' });
    // From now on, not from when they asked: the same as who asks next is told.
    const waitMs = reason === 'blocked' ? this.blockedForMs : reply.waitMs;
    answer(asking, { granted: false, reason, waitMs });
    if (reason === 'blocked') this.answerWaiting({ granted: false, reason, waitMs });
    if (this.inHand.hasSpares) this.flushWithin(SPARE_MS);
  }

  /** Sends what has settled within that time, unless a caller's step takes it along earlier. */
  private flushWithin(delayMs: number): void {
    if (this.isClosed) {
      // Granted by a step that was repeated: nobody comes who could take it.
      this.refundSpares(Infinity);
      if (this.store.isConnected) this.flushNow();
      return;
    }
    this.flush.within(delayMs);
  }

  private flushDue(): void {
    this.refundSpares(performance.now() + this.options.permitMs - SPARE_MS);
    if (this.store.isConnected) this.flushNow();
  }

  private noteRefusal(permit: Permit, retryAfterMs: number | undefined): void {
    // The provider is closed: what is held for the next caller, or on its way to us, can no longer be sent.
    if (permit.epoch === this.known.epoch) {
      this.refusedAtMs = performance.now();
      this.refundSpares(Infinity);
    }
    // Where a refusal begins the block, somebody has to run into it.
    const { policy } = this.options;
    if (policy.policy === 'count-then-block' && policy.startsAt === 'first-refusal') return;
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

/**
 * How long settlements may wait for a caller to take them along: a window's end must be known well before it reopens, a
 * slot before it is free again, a token only before it is given up.
 */
function flushMsOf(policy: LimitedPolicy, holdMs: number): number {
  if (policy.policy === 'token-bucket') return holdMs;
  const parts = policy.policy === 'sliding-window' ? 2 : 8;
  return Math.max(5, Math.min(periodMsOf(policy) / parts, holdMs / 2));
}

/** Answers all of them and leaves none behind. */
function answer(waiters: Waiter[], reservation: Reservation): void {
  for (const waiter of waiters.splice(0)) waiter(reservation);
}
