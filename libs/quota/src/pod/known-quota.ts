import type { QuotaEvent } from '../permit.js';
import { guardMs, hasWindows, type LimitedPolicy, limitOf } from '../policy.js';
import type { StepReply } from '../store/quota-store.js';

/** How long Redis certainly keeps a recorded step: half the silence after which it drops a pod's record. */
const RECORDED_MS = 300_000;

/** What one pod knows about a provider's quota, so that it can answer callers without asking Redis. */
export class KnownQuota {
  /** The highest epoch seen. */
  epoch = 0;
  /** Whether the quota was spent in the last reply. */
  isSpent = false;

  /** In force as of the last reply. */
  limit: number;
  private used = 0;
  /** This pod's last step that Redis recorded. */
  private recorded = { seq: 0, atMs: 0 };
  /** The end of the latest block, and its length in the reply that announced it. */
  private blocked = { untilMs: 0, waitMs: 0 };
  /** The epoch of a count that was lost, and the block that was known before. */
  private forgotten = { epoch: 0, blocked: { untilMs: 0, waitMs: 0 } };
  /** When the provider last refused a request of this pod in the current epoch. */
  private refusedAtMs = -Infinity;

  constructor(
    private readonly provider: string,
    private readonly policy: LimitedPolicy,
    private readonly onEvent: (event: QuotaEvent) => void,
  ) {
    this.limit = limitOf(policy);
  }

  /** Slots that are free, as of the last reply. */
  get left(): number {
    return this.limit - this.used;
  }

  get usedPart(): number {
    return this.used / this.limit;
  }

  /** How long the quota is known to stay blocked. */
  blockedForMs(nowMs: number): number {
    return Math.max(0, this.blocked.untilMs - nowMs);
  }

  /** The known block as reported to Redis. Only for windows: with other policies a slot given back may end it earlier. */
  blockToReportMs(nowMs: number): number {
    if (!hasWindows(this.policy)) return 0;
    const { untilMs, waitMs } = this.blocked;
    // A pod clock slower than that of Redis must not lengthen a block.
    return Math.max(0, Math.floor(untilMs - nowMs - guardMs(waitMs)));
  }

  /** Number of the last step that Redis must still have; 0 for none. */
  recordedSeq(nowMs: number): number {
    return nowMs - this.recorded.atMs < RECORDED_MS ? this.recorded.seq : 0;
  }

  noteRecorded(seq: number, nowMs: number): void {
    this.recorded = { seq, atMs: nowMs };
  }

  noteRefusal(nowMs: number): void {
    this.refusedAtMs = nowMs;
  }

  /** Whether the provider refused at or after `startedAtMs`: permits of a step started then must not be sent. */
  hasRefusedSince(startedAtMs: number): boolean {
    return startedAtMs <= this.refusedAtMs;
  }

  /** Learns from the reply to a step sent at `sentAtMs`. */
  note(reply: StepReply, sentAtMs: number): void {
    const { state, epoch, waitMs, limit, used, foreign, event } = reply;
    const { provider } = this;
    this.noteForgotten(reply);
    this.used = used;
    // Steps recorded in a lost epoch do not matter to the epoch that replaced it.
    if (epoch > this.epoch) this.recorded = { seq: 0, atMs: 0 };
    this.epoch = Math.max(this.epoch, epoch);
    this.isSpent = state === 'spent';
    // Counted from the sending of the step: a trip too early is harmless, as Redis decides; waiting longer because the
    // reply was slow is not. A known block never gets shorter, even if the clock of Redis jumped.
    const untilMs = sentAtMs + waitMs;
    if (state === 'blocked' && untilMs > this.blocked.untilMs) this.blocked = { untilMs, waitMs };
    if (event !== undefined) this.onEvent({ event, provider, epoch, waitMs });
    if (foreign > 0) this.onEvent({ event: 'foreign use', provider, epoch, requests: foreign });
    if (limit !== this.limit) {
      this.limit = limit;
      this.onEvent({ event: 'limit changed', provider, limit, configured: limitOf(this.policy) });
    }
  }

  /** A count that is rebuilt skips an epoch. The block assumed while it was lost is void then. */
  private noteForgotten({ epoch, recallInMs }: StepReply): void {
    if (this.forgotten.epoch > 0 && epoch >= this.forgotten.epoch + 2) {
      this.blocked = this.forgotten.blocked;
      this.forgotten.epoch = 0;
    }
    const isNew = recallInMs !== undefined && epoch > this.epoch;
    if (isNew) this.forgotten = { epoch, blocked: this.blocked };
  }
}
