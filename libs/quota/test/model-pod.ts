import { randomBytes } from 'node:crypto';
import type { Permit, Settlement } from '../src/permit.js';
import { KnownQuota } from '../src/pod/known-quota.js';
import { type LimitedPolicy, periodMsOf } from '../src/policy.js';
import type { StepReply, StepRequest } from '../src/store/quota-store.js';
import { SettlementBatch } from '../src/store/settlement-batch.js';

export const PERMIT_MS = 100;
export const TIMEOUT_MS = 200;
/** As a real pod computes it, with some slack. */
export const HOLD_MS = PERMIT_MS + TIMEOUT_MS + 50;

/** The pod's side of the engine without timers: the steps it makes, and the permits it holds. */
export class ModelPod {
  readonly id = randomBytes(4).toString('hex');
  held: Permit[] = [];
  /** Until then it neither sends nor settles. */
  pausedUntilMs = 0;
  unconfirmed: StepRequest | undefined;
  /** The last step, if it was granted permits: Redis keeps the reply. */
  confirmed: StepRequest | undefined;
  readonly known: KnownQuota;

  private seq = 0;
  private settled: SettlementBatch;

  constructor(
    private readonly provider: string,
    private readonly policy: LimitedPolicy,
    /** Each pod's monotonic clock has another origin. */
    private readonly clockOffsetMs: number,
  ) {
    this.known = new KnownQuota(provider, policy, () => {});
    this.settled = this.newBatch();
  }

  get hasSettlements(): boolean {
    return !this.settled.isEmpty;
  }

  isPaused(nowMs: number): boolean {
    return nowMs < this.pausedUntilMs;
  }

  /** The step to send now: the unconfirmed one, or a new one. */
  nextStep(want: number, nowMs: number): StepRequest {
    if (this.unconfirmed !== undefined) return this.unconfirmed;
    const settlements = this.settled;
    this.settled = this.newBatch();
    this.seq += 1;
    return this.request({ seq: this.seq, want, settlements, nowMs });
  }

  /** Reads the quota: number 0 changes nothing. */
  peek(nowMs: number): StepRequest {
    return this.request({ seq: 0, want: 0, settlements: this.newBatch(), nowMs });
  }

  /** The step as sent now: what the pod knows and the ages of its settlements are up to date. */
  dated(request: StepRequest, nowMs: number): StepRequest {
    const podMs = nowMs + this.clockOffsetMs;
    const knownWaitMs = this.known.blockToReportMs(podMs);
    return {
      ...request,
      knownEpoch: this.known.epoch,
      recordedSeq: this.known.recordedSeq(podMs),
      knownWaitMs,
      nowMs: podMs,
    };
  }

  confirm(request: StepRequest, reply: StepReply, nowMs: number): void {
    const podMs = nowMs + this.clockOffsetMs;
    this.unconfirmed = undefined;
    this.confirmed = reply.granted > 0 ? request : undefined;
    this.known.note(reply, podMs);
    if (reply.isRecorded) this.known.noteRecorded(request.seq, podMs);
    const { epoch, generation, grantedAtMs } = reply;
    const sendByMs = request.nowMs - this.clockOffsetMs + PERMIT_MS;
    const permit = { provider: this.provider, epoch, generation, sendByMs, grantedAtMs, amount: 1 };
    for (let i = 0; i < reply.granted; i += 1) this.held.push({ ...permit });
  }

  settle(permit: Permit, settlement: Settlement, nowMs: number): void {
    this.settled.add({ permit, settlement, nowMs: nowMs + this.clockOffsetMs });
  }

  private newBatch(): SettlementBatch {
    return new SettlementBatch(this.policy.policy === 'count-then-block' ? Infinity : periodMsOf(this.policy) / 256);
  }

  private request({ nowMs, ...step }: Pick<StepRequest, 'seq' | 'want' | 'settlements' | 'nowMs'>): StepRequest {
    const fixed = { provider: this.provider, policy: this.policy, podId: this.id, holdMs: HOLD_MS } as const;
    const known = { knownEpoch: 0, knownWaitMs: 0, recordedSeq: 0 };
    return { ...step, ...fixed, ...known, whenForgotten: 'blocked', nowMs: nowMs + this.clockOffsetMs };
  }
}
