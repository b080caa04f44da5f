import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import type { Permit, QuotaState, Reservation, Settlement } from '../permit.js';
import { recalledMs } from '../policy.js';
import type { QuotaStore, Sent, StepReply } from '../store/quota-store.js';
import { Demand } from './demand.js';
import { KnownQuota } from './known-quota.js';
import { NumberedSteps, type Step, type StepOptions } from './numbered-steps.js';
import { PermitLedger } from './permit-ledger.js';
import { Rebuilding, type Recall } from './rebuilding.js';
import { UsualAmount } from './usual-amount.js';
import { Waiters } from './waiters.js';

export interface ProviderQuotaOptions extends Omit<StepOptions, 'holdMs'> {
  /** See `QuotaOptions`. */
  recall?: Recall | undefined;
  /** Timeout of a request to the provider; after it the permit is settled as unknown. */
  timeoutMs: number;
  /** How long a caller waits for Redis before it continues without a permit. */
  budgetMs: number;
  /** How long a permit may be held before it is used. */
  permitMs: number;
}

/** Timers fire late: Redis must not time out a permit that its holder may still settle. */
const TIMER_SLACK_MS = 250;
/** Delay before a failed step is retried, if no caller or reconnection retries it earlier. */
const RETRY_MS = 500;
/** From this many permits in callers' hands on, answers and with them new callers arrive several times per millisecond. */
const CROWD = 32;
/** In a crowd, a step with fewer callers than this waits for more. */
const CROWD_STEP_CALLERS = 8;
const GATHER_MS = 1;

const UNAVAILABLE: Reservation = { granted: false, reason: 'unavailable' };

/**
 * One pod's side of one provider's quota. Callers are served by steps, one in flight at a time (group commit):
 *
 *     idle ── wake() ──▶ gather callers ──▶ step in flight ──▶ deliver permits ──▶ gather again, or idle
 *
 * An unconfirmed step, whose reply was lost, is sent again before a new one. Settlements travel with the steps.
 *
 *   known        what replies have taught the pod, which it answers from while blocked; changed by every reply
 *   steps        the numbered steps and the unconfirmed one; changed by every step
 *   ledger       unsettled permits: added when granted, removed when settled; and settlements: taken by the next step
 *   waiters      callers that wait for the next step; they join while a step is in flight
 *   running      the loop, undefined when idle
 *   isOverdue    the step in flight exceeded the budget: new callers get `unavailable` at once
 *   isCheckDue   the connection was lost: a step must verify that the count has not gone back
 *
 * After close() callers get no more permits, but settlements and the unconfirmed step are still delivered.
 */
export class ProviderQuota {
  private readonly known: KnownQuota;
  private readonly steps: NumberedSteps;
  private readonly ledger: PermitLedger;
  private readonly demand = new Demand();
  private rebuilding: Rebuilding | undefined;
  /**
   * Not in fixed windows: a permit in flight at the end counts in both windows, even one that waits for a caller. Not where
   * permits in flight are what is limited.
   */
  private readonly canPrefetch: boolean;
  private readonly usual = new UsualAmount();
  private readonly waiters = new Waiters();
  private running: Promise<void> | undefined;
  private isOverdue = false;
  private isCheckDue = false;

  constructor(
    private readonly store: QuotaStore,
    private readonly options: ProviderQuotaOptions,
  ) {
    const { policy, provider, permitMs, timeoutMs, onEvent, countsAmounts = false } = options;
    const holdMs = permitMs + timeoutMs + TIMER_SLACK_MS;
    this.canPrefetch = policy.policy !== 'fixed-window' && policy.policy !== 'concurrency' && !countsAmounts;
    this.known = new KnownQuota(provider, policy, onEvent);
    this.ledger = new PermitLedger({ ...options, holdMs }, this.known, () => this.flushIfConnected());
    this.steps = new NumberedSteps(store, { ...options, holdMs }, this.known, (...reply) => this.note(...reply));
    const { recall } = options;
    if (recall)
      this.rebuilding = new Rebuilding(this.steps, () => this.readJournal(recall, recalledMs(policy) + holdMs));
    store.onConnected(() => {
      this.isCheckDue = this.steps.hasSentAny;
      this.flushNow();
    });
  }

  /** Round trips to Redis so far. */
  get trips(): number {
    return this.steps.trips;
  }

  /**
   * Asks for a permit. At most one trip, shared with concurrent callers; none while the quota is known to be blocked.
   * @param estimate where amounts are counted; by default what recent requests used
   */
  reserve(estimate?: number): Promise<Reservation> {
    this.demand.noteCaller();
    const nowMs = performance.now();
    const spare = this.ledger.takeSpare(nowMs);
    if (spare !== undefined) return Promise.resolve({ granted: true, permit: spare });
    const waitMs = this.known.blockedForMs(nowMs);
    if (waitMs > 0) return Promise.resolve({ granted: false, reason: 'blocked', waitMs });
    if (!this.isAnswering) return Promise.resolve(UNAVAILABLE);
    const reservation = this.waiters.add(this.amountOf(estimate));
    this.wake();
    return reservation;
  }

  /** How long the quota is known to stay blocked. */
  get blockedForMs(): number {
    return this.known.blockedForMs(performance.now());
  }

  /** Neither blocked nor spent, as of the last reply. */
  get seemsOpen(): boolean {
    return this.blockedForMs === 0 && !this.known.isSpent;
  }

  /** As of the last reply. */
  get epoch(): number {
    return this.known.epoch;
  }

  /** How many requests there is room for, as of the last reply. */
  get left(): number {
    return this.known.left / this.usual.value;
  }

  /** How much of the limit is used, as of the last reply: from 0 to 1. */
  get usedPart(): number {
    return this.known.usedPart;
  }

  /** Whether this quota granted the permit, and it is not settled yet. */
  owns(permit: Permit): boolean {
    return this.ledger.inHand.has(permit);
  }

  get isSettled(): boolean {
    return this.ledger.inHand.areAllSettled;
  }

  /** Reports what became of a permit. A second settlement of the same permit changes nothing. */
  settle(permit: Permit, settlement: Settlement): void {
    const used = this.usedOf(permit, settlement);
    if (used !== undefined) this.usual.note(used);
    this.ledger.settle(permit, settlement, used);
  }

  /** The quota as Redis counts it now: one trip; undefined when Redis does not answer. */
  async state(): Promise<QuotaState | undefined> {
    if (!this.isAnswering) return undefined;
    try {
      const { state, epoch, limit, used, waitMs, windowEndsInMs, isHeld, source } = await this.steps.peek();
      return { state, epoch, limit, used, waitMs, windowEndsInMs, isHeld, source };
    } catch {
      return undefined;
    }
  }

  /** Gives back the spare permits and delivers the last settlements, if Redis answers. */
  async close(): Promise<void> {
    this.ledger.isClosed = true;
    this.rebuilding?.stop();
    this.waiters.answerAll(UNAVAILABLE);
    await this.running;
    this.ledger.giveBackSpares(Infinity);
    this.ledger.outgoing.stopTimer();
    this.flushIfConnected();
    // Giving back a spare may have started this run: close() must not end before that run has delivered it.
    await this.running;
  }

  /** False while disconnected, or while the step in flight is overdue: waiting would only cost the caller time. */
  private get isAnswering(): boolean {
    return !this.ledger.isClosed && this.store.isConnected && !this.isOverdue;
  }

  /** Of several quotas of one account, the journal knows the epoch of one, and not of which. */
  private async readJournal(recall: Recall, sinceMs: number): Promise<readonly Sent[]> {
    const { provider, quota, countsAmounts } = this.options;
    if (quota === undefined) return recall(provider, sinceMs);
    const sent = await recall(provider, sinceMs, countsAmounts === true ? quota : undefined);
    return sent.map(({ agoMs, requests }) => ({ agoMs, requests }));
  }

  private flushIfConnected(): void {
    if (this.store.isConnected) this.flushNow();
  }

  private flushNow(): void {
    this.ledger.outgoing.makeDue();
    if (this.hasWork()) this.wake();
  }

  private hasWork(): boolean {
    if (this.waiters.count > 0 || this.steps.unconfirmed !== undefined || this.isCheckDue) return true;
    return this.ledger.outgoing.needStep;
  }

  private wake(): void {
    this.running ??= this.run();
  }

  private async run(): Promise<void> {
    try {
      while (this.hasWork()) {
        await this.gather();
        this.steps.dropStale();
        if (!this.hasWork()) return;
        if (await this.runStep()) continue;
        // Fail callers that arrived after the failed step; nothing else wakes them.
        this.waiters.answerAll(UNAVAILABLE);
        return;
      }
    } finally {
      // In the same turn as the last look for work: a later caller wakes the loop again.
      this.running = undefined;
    }
  }

  /** Callers of the same turn of the event loop share a step; in a crowd, also those of the next millisecond. */
  private async gather(): Promise<void> {
    await setImmediate();
    if (this.ledger.inHand.handedOut >= CROWD && this.waiters.count < CROWD_STEP_CALLERS) await sleep(GATHER_MS);
  }

  /** Sends the unconfirmed step again, or a new one. False when Redis did not reply. */
  private async runStep(): Promise<boolean> {
    const { unconfirmed } = this.steps;
    const isRetry = unconfirmed !== undefined;
    const step = unconfirmed ?? this.compose();
    // Callers that arrive from now on wait for the next step, and so do all callers during a retry.
    const asking = isRetry ? new Waiters() : this.waiters.takeAll();
    const giveUp = (): void => {
      asking.answerAll(UNAVAILABLE);
      this.waiters.answerAll(UNAVAILABLE);
    };
    const budget = setTimeout(() => {
      // A flag, because timers may fire early; a caller arriving in between would wait for the reply.
      this.isOverdue = true;
      giveUp();
    }, this.options.budgetMs);
    try {
      this.deliver({ reply: await this.steps.send(step), step, asking, isRetry });
      return true;
    } catch {
      giveUp();
      this.ledger.flushWithin(RETRY_MS);
      return false;
    } finally {
      this.isOverdue = false;
      clearTimeout(budget);
    }
  }

  private compose(): Step {
    this.isCheckDue = false;
    const settlements = this.ledger.outgoing.take();
    const startedAtMs = performance.now();
    const { all, least } = this.waiters.amounts;
    if (all === 0) return this.steps.compose({ want: 0, least: 1, settlements, startedAtMs });
    const want = all + this.demand.prefetch(startedAtMs);
    return this.steps.compose({ want, least, settlements, startedAtMs });
  }

  /** No request takes more than the whole quota: what it uses beyond is charged when it is settled. */
  private amountOf(estimate: number | undefined): number {
    if (this.options.countsAmounts !== true) return 1;
    return Math.max(1, Math.min(Math.ceil(estimate ?? this.usual.value), this.known.limit));
  }

  /** What an accepted request used of a quota that counts amounts: by its answer, else as estimated. */
  private usedOf({ amount }: Permit, settlement: Settlement): number | undefined {
    if (this.options.countsAmounts !== true || settlement.outcome !== 'accepted') return undefined;
    return settlement.used?.[this.options.quota ?? ''] ?? amount;
  }

  private note(reply: StepReply, sentAtMs: number): void {
    const { state, epoch, limit, used } = reply;
    this.demand.noteLeft(this.canPrefetch && state === 'open' ? limit - used : 0);
    // The window of the spare permits is closed or over.
    if (state === 'blocked' || epoch > this.known.epoch) this.ledger.giveBackSpares(Infinity);
    this.known.note(reply, sentAtMs);
    this.rebuilding?.note(reply);
  }

  private deliver({ reply, step, asking, isRetry }: Delivery): void {
    // The permits expired on the way, or their window has closed meanwhile: they must not be sent.
    const sendByMs = step.startedAtMs + this.options.permitMs;
    const hasClosed = (isRetry && reply.state === 'blocked') || this.known.hasRefusedSince(step.startedAtMs);
    const isTooLate = hasClosed || performance.now() >= sendByMs;
    const { epoch, generation, grantedAtMs } = reply;
    const { countsAmounts = false } = this.options;
    for (let left = reply.granted; left > 0;) {
      // Callers that gave up leave their permits to those that arrived since.
      const waiter = isTooLate ? undefined : (asking.takeFitting(left) ?? this.waiters.takeFitting(left));
      const amount = waiter?.amount ?? (countsAmounts ? left : 1);
      const permit: Permit = { provider: this.options.provider, epoch, generation, sendByMs, grantedAtMs, amount };
      this.ledger.inHand.add(permit);
      if (waiter === undefined) this.ledger.inHand.keepSpare(permit);
      else waiter.resolve({ granted: true, permit });
      left -= amount;
    }
    // What is left of amounts is too little for any caller.
    if (isTooLate || countsAmounts) this.ledger.giveBackSpares(Infinity);
    this.refuse(asking, reply, isTooLate);
    this.ledger.giveBackSparesSoon();
  }

  /** An open quota grants all permits wanted: callers left without one met a spent or a blocked quota. */
  private refuse(asking: Waiters, { state, waitMs }: StepReply, isTooLate: boolean): void {
    if (state === 'blocked') {
      // From now on, not from the sending of the step: the same wait that the next caller gets.
      const blocked: Reservation = { granted: false, reason: 'blocked', waitMs: this.blockedForMs };
      asking.answerAll(blocked);
      this.waiters.answerAll(blocked);
      return;
    }
    asking.answerAll(isTooLate ? UNAVAILABLE : { granted: false, reason: 'spent', waitMs });
  }
}

interface Delivery {
  reply: StepReply;
  step: Step;
  /** The callers that this step was made for and that have not given up. */
  asking: Waiters;
  isRetry: boolean;
}
