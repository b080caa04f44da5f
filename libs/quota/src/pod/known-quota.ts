import type { QuotaEvent } from '../permit.js';
import { guardMs, hasWindows, type LimitedPolicy, limitOf } from '../policy.js';
import type { StepReply } from '../store/quota-store.js';

/** For how long a step that was recorded must still be in the hash: pods silent for longer are dropped from it. */
const RECORDED_MS = 300_000;

/** What one pod knows of a provider's quota from the store's replies, so that it need not ask. */
export class KnownQuota {
  epoch = 0;
  isSpent = false;

  private limit: number;
  /** The last step that the hash holds. */
  private recorded = { seq: 0, atMs: 0 };
  /** Until when, and how long it was told to wait. */
  private blocked = { untilMs: 0, waitMs: 0 };

  constructor(
    private readonly provider: string,
    private readonly policy: LimitedPolicy,
    private readonly onEvent: (event: QuotaEvent) => void,
  ) {
    this.limit = limitOf(policy);
  }

  /** How long it is known to stay blocked. */
  blockedForMs(nowMs: number): number {
    return Math.max(0, this.blocked.untilMs - nowMs);
  }

  /** What the store is told of it. Of windows only: slots and tokens that were given back may open the others earlier. */
  waitToTellMs(nowMs: number): number {
    if (!hasWindows(this.policy)) return 0;
    const { untilMs, waitMs } = this.blocked;
    // A clock that runs slower than that of Redis must not make a block longer.
    return Math.max(0, Math.floor(untilMs - nowMs - guardMs(waitMs)));
  }

  /** The last step that the hash must hold, 0 when none must. */
  recordedSeq(nowMs: number): number {
    return nowMs - this.recorded.atMs < RECORDED_MS ? this.recorded.seq : 0;
  }

  noteRecorded(seq: number, nowMs: number): void {
    this.recorded = { seq, atMs: nowMs };
  }

  /** Of a reply to a question that was sent at `askedAtMs`. */
  note({ state, epoch, waitMs, limit, foreign, event }: StepReply, askedAtMs: number): void {
    const { provider } = this;
    // The steps recorded in an epoch that was lost are of no consequence to the one that replaced it.
    if (epoch > this.epoch) this.recorded = { seq: 0, atMs: 0 };
    this.epoch = Math.max(this.epoch, epoch);
    this.isSpent = state === 'spent';
    // From when it was asked: rather a trip early, when Redis decides, than late because the answer was slow to be read.
    // Never shorter than what is remembered, whatever Redis's clock has come to think.
    const untilMs = askedAtMs + waitMs;
    if (state === 'blocked' && untilMs > this.blocked.untilMs) this.blocked = { untilMs, waitMs };
    if (event !== undefined) this.onEvent({ event, provider, epoch, waitMs });
    if (foreign > 0) this.onEvent({ event: 'foreign use', provider, epoch, requests: foreign });
    if (limit !== this.limit) {
      this.limit = limit;
      this.onEvent({ event: 'limit changed', provider, limit, configured: limitOf(this.policy) });
    }
  }
}
