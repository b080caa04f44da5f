import { randomBytes } from 'node:crypto';
import type { Permit, Settlement } from '../src/permit.js';
import { guardMs, hasWindows, type LimitedPolicy, periodMsOf } from '../src/policy.js';
import type { StepReply, StepRequest } from '../src/store/quota-store.js';
import { SettlementBatch } from '../src/store/settlement-batch.js';

export const PERMIT_MS = 100;
export const TIMEOUT_MS = 200;
/** As the pod side computes it, with its slack. */
export const HOLD_MS = PERMIT_MS + TIMEOUT_MS + 50;

/** What a pod knows, and how it asks: the pod side of the engine without its timers. */
export class ModelPod {
  readonly id = randomBytes(4).toString('hex');
  held: Permit[] = [];
  /** Stands still until then: it neither sends nor tells. */
  pausedUntilMs = 0;
  knownEpoch = 0;
  unconfirmed: StepRequest | undefined;
  /** Its last step that was granted something: Redis keeps what it answered. */
  confirmed: StepRequest | undefined;

  private seq = 0;
  private recordedSeq = 0;
  private blocked = { untilMs: 0, waitMs: 0 };
  private settled: SettlementBatch;

  constructor(
    private readonly provider: string,
    private readonly policy: LimitedPolicy,
    /** Pods share no clock: each one's monotonic clock began at another moment. */
    private readonly clockOffsetMs: number,
  ) {
    this.settled = this.newBatch();
  }

  get hasToTell(): boolean {
    return !this.settled.isEmpty;
  }

  isPaused(nowMs: number): boolean {
    return nowMs < this.pausedUntilMs;
  }

  /** The step to send now: the unconfirmed one again, or a new one. */
  nextStep(want: number, nowMs: number): StepRequest {
    if (this.unconfirmed !== undefined) return this.unconfirmed;
    const settlements = this.settled;
    this.settled = this.newBatch();
    this.seq += 1;
    return this.request({ seq: this.seq, want, settlements, nowMs });
  }

  /** Asks, and changes nothing that a step would. */
  peek(nowMs: number): StepRequest {
    return this.request({ seq: 0, want: 0, settlements: this.newBatch(), nowMs });
  }

  /** A step as it is sent now, however often: only what the pod knows and its ages are new. */
  dated(request: StepRequest, nowMs: number): StepRequest {
    const { knownEpoch, recordedSeq } = this;
    return {
      ...request,
      knownEpoch,
      recordedSeq,
      knownWaitMs: this.knownWaitMs(nowMs),
      nowMs: nowMs + this.clockOffsetMs,
    };
  }

  confirm(request: StepRequest, reply: StepReply, nowMs: number): void {
    const startedMs = request.nowMs - this.clockOffsetMs;
    this.unconfirmed = undefined;
    this.confirmed = reply.granted > 0 ? request : undefined;
    if (reply.isRecorded) this.recordedSeq = request.seq;
    this.note(reply, nowMs);
    const { epoch, generation, grantedAtMs } = reply;
    const permit = { provider: this.provider, epoch, generation, sendByMs: startedMs + PERMIT_MS, grantedAtMs };
    for (let i = 0; i < reply.granted; i += 1) this.held.push({ ...permit });
  }

  note({ epoch, state, waitMs }: StepReply, nowMs: number): void {
    this.knownEpoch = Math.max(this.knownEpoch, epoch);
    if (state === 'blocked' && nowMs + waitMs > this.blocked.untilMs)
      this.blocked = { untilMs: nowMs + waitMs, waitMs };
  }

  settle(permit: Permit, settlement: Settlement, nowMs: number): void {
    this.settled.add({ permit, settlement, nowMs: nowMs + this.clockOffsetMs });
  }

  private knownWaitMs(nowMs: number): number {
    if (!hasWindows(this.policy)) return 0;
    return Math.max(0, Math.floor(this.blocked.untilMs - nowMs - guardMs(this.blocked.waitMs)));
  }

  private newBatch(): SettlementBatch {
    return new SettlementBatch(this.policy.policy === 'count-then-block' ? Infinity : periodMsOf(this.policy) / 256);
  }

  private request({
    nowMs,
    ...step
  }: Pick<StepRequest, 'seq' | 'want' | 'settlements'> & { nowMs: number }): StepRequest {
    return {
      ...step,
      provider: this.provider,
      policy: this.policy,
      podId: this.id,
      holdMs: HOLD_MS,
      whenForgotten: 'blocked',
      knownEpoch: this.knownEpoch,
      knownWaitMs: 0,
      recordedSeq: this.recordedSeq,
      nowMs: nowMs + this.clockOffsetMs,
    };
  }
}
