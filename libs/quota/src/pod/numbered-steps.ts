import type { QuotaEvent, QuotaStep } from '../permit.js';
import type { LimitedPolicy } from '../policy.js';
import type { QuotaStore, Sent, StepReply, WhenForgotten } from '../store/quota-store.js';
import { SettlementBatch } from '../store/settlement-batch.js';
import { CalendarWindows } from './calendar-windows.js';
import type { KnownQuota } from './known-quota.js';

/** How long an unconfirmed step is retried. By then its permits have timed out, and Redis soon drops the pod's record. */
const RETRY_FOR_MS = 300_000;

export interface Step {
  seq: number;
  want: number;
  least: number;
  settlements: SettlementBatch;
  /** The time of the first attempt. Permits are dated from it: Redis granted them no earlier. */
  startedAtMs: number;
}

export interface StepOptions {
  provider: string;
  /** The name of the quota, where the provider has several. */
  quota?: string | undefined;
  policy: LimitedPolicy;
  /** The quota counts an amount for each request. */
  countsAmounts?: boolean;
  podId: string;
  /** Redis counts an unsettled permit as unknown this long after granting it. */
  holdMs: number;
  whenForgotten: WhenForgotten;
  onEvent: (event: QuotaEvent) => void;
  onStep?: ((step: QuotaStep) => void) | undefined;
}

/**
 * Sends the steps of one pod for one provider to Redis. Each step has a number, so that a retry is applied once. When
 * Redis does not reply, the step stays unconfirmed and must be sent again before any other.
 */
export class NumberedSteps {
  /** Round trips to Redis so far. */
  trips = 0;
  /** Redis may or may not have applied this step. */
  unconfirmed: Step | undefined;

  /** Undefined for windows of no calendar. */
  private readonly windows: CalendarWindows | undefined;
  private seq = 0;
  private isStoreLost = false;

  constructor(
    private readonly store: QuotaStore,
    private readonly options: StepOptions,
    private readonly known: KnownQuota,
    /** Called as soon as a reply arrives, before any caller can act on older knowledge. */
    private readonly onReply: (reply: StepReply, sentAtMs: number) => void,
  ) {
    const { policy, holdMs } = options;
    this.windows = 'every' in policy ? new CalendarWindows(policy, holdMs) : undefined;
  }

  get hasSentAny(): boolean {
    return this.seq > 0;
  }

  compose({ want, least, settlements, startedAtMs }: Omit<Step, 'seq'>): Step {
    this.seq += 1;
    return { seq: this.seq, want, least, settlements, startedAtMs };
  }

  dropStale(): void {
    const startedAtMs = this.unconfirmed?.startedAtMs ?? Infinity;
    if (performance.now() - startedAtMs > RETRY_FOR_MS) this.unconfirmed = undefined;
  }

  /** @throws when Redis did not reply: the step is then unconfirmed */
  async send(step: Step): Promise<StepReply> {
    try {
      const reply = await this.request(step);
      this.unconfirmed = undefined;
      if (reply.isRecorded) this.known.noteRecorded(step.seq, performance.now());
      this.reportStore({ isLost: false });
      return reply;
    } catch (error) {
      this.unconfirmed = step;
      this.reportStore({ isLost: true, error });
      throw error;
    }
  }

  /**
   * Reads the quota. Number 0 precedes every step of this pod, so Redis applies nothing.
   * @param recalled rebuilds a forgotten count
   */
  peek(recalled?: readonly Sent[]): Promise<StepReply> {
    return this.request({ seq: 0, want: 0, least: 1, settlements: new SettlementBatch(), startedAtMs: 0 }, recalled);
  }

  private async request({ seq, want, least, settlements }: Step, recalled?: readonly Sent[]): Promise<StepReply> {
    const { provider, quota, policy, countsAmounts, podId, holdMs, whenForgotten } = this.options;
    this.trips += 1;
    const nowMs = performance.now();
    const reply = await this.store.step({
      provider,
      quota,
      policy,
      podId,
      seq,
      want,
      least,
      countsAmounts,
      holdMs,
      whenForgotten,
      knownEpoch: this.known.epoch,
      knownWaitMs: this.known.blockToReportMs(nowMs),
      recordedSeq: this.known.recordedSeq(nowMs),
      settlements,
      nowMs,
      recalled,
      windowStartsMs: this.windows?.startsMs(),
    });
    this.windows?.noteServerTime(reply.serverMs);
    this.onReply(reply, nowMs);
    const { granted, state, epoch, limit, used, waitMs } = reply;
    const tookMs = performance.now() - nowMs;
    this.options.onStep?.({ provider, quota, wanted: want, granted, state, epoch, limit, used, waitMs, tookMs });
    return reply;
  }

  /** One event per outage and one per recovery, however many steps fail or succeed. */
  private reportStore({ isLost, error }: { isLost: boolean; error?: unknown }): void {
    if (this.isStoreLost === isLost) return;
    this.isStoreLost = isLost;
    this.options.onEvent({ event: isLost ? 'store lost' : 'store back', provider: this.options.provider, error });
  }
}
