import { type LimitedPolicy, periodMsOf } from '../policy.js';
import { SettlementBatch } from '../store/settlement-batch.js';

/** Answers within one of so many parts of a period are added up as if they had arrived together. */
const RESOLUTION = 256;

/**
 * Settlements that Redis does not have yet. They travel with the next caller's step; if none comes in time, the timer
 * asks for a step of their own.
 */
export class OutgoingSettlements {
  /** The longest that a settlement may wait for a caller's step. */
  readonly maxWaitMs: number;

  private readonly resolutionMs: number;
  private batch: SettlementBatch;
  /** Settlements must not wait for the next caller any longer. */
  private isDue = false;
  private timer: { handle: NodeJS.Timeout; atMs: number } | undefined;

  constructor(
    policy: LimitedPolicy,
    holdMs: number,
    private readonly onTimer: () => void,
  ) {
    this.maxWaitMs = maxWaitMsOf(policy, holdMs);
    this.resolutionMs = policy.policy === 'count-then-block' ? Infinity : Math.max(1, periodMsOf(policy) / RESOLUTION);
    this.batch = new SettlementBatch(this.resolutionMs);
  }

  /** Whether there are settlements that must not wait for the next caller. */
  get needStep(): boolean {
    return this.isDue && !this.batch.isEmpty;
  }

  add(settled: Parameters<SettlementBatch['add']>[0]): void {
    this.batch.add(settled);
  }

  /** From now until the next step, settlements do not wait for a caller. */
  makeDue(): void {
    this.isDue = true;
  }

  /** One timer serves all calls: it fires at the earliest time that any of them asked for. */
  startTimer(delayMs: number): void {
    const atMs = performance.now() + delayMs;
    if (this.timer !== undefined && this.timer.atMs <= atMs) return;
    this.stopTimer();
    const handle = setTimeout(() => {
      this.timer = undefined;
      this.onTimer();
    }, delayMs);
    this.timer = { handle, atMs };
  }

  stopTimer(): void {
    clearTimeout(this.timer?.handle);
    this.timer = undefined;
  }

  /** Everything collected so far, for a step that starts now. */
  take(): SettlementBatch {
    const { batch } = this;
    this.stopTimer();
    this.isDue = false;
    this.batch = new SettlementBatch(this.resolutionMs);
    return batch;
  }
}

/**
 * Redis must know the end of a window well before it reopens, and a used slot before it is free again. A used token
 * may be reported until its permit times out.
 */
function maxWaitMsOf(policy: LimitedPolicy, holdMs: number): number {
  if (policy.policy === 'token-bucket') return holdMs;
  // Another pod may wait for the slot.
  if (policy.policy === 'concurrency') return 0;
  const parts = policy.policy === 'sliding-window' ? 2 : 8;
  return Math.max(5, Math.min(periodMsOf(policy) / parts, holdMs / 2));
}
