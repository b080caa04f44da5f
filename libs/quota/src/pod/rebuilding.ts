import type { Sent, StepReply } from '../store/quota-store.js';
import type { NumberedSteps } from './numbered-steps.js';

/**
 * Reads in a journal what was sent to an account in the last `sinceMs` milliseconds and may have been counted.
 * It must know every request whose permit was settled.
 * @param amountOf the name of a quota that counts amounts: `requests` are then amounts of it
 */
export type Recall = (account: string, sinceMs: number, amountOf?: string) => Promise<readonly Sent[]>;

/** How long the journal may take to record a request after its answer. */
const RECORDED_WITHIN_MS = 1_000;
/** All pods notice the loss at the same moment: the first of them rebuilds the count. */
const SPREAD_MS = 250;
const RETRY_MS = 1_000;

/** Rebuilds a count that Redis lost, as soon as no request from before the loss can still be under way. */
export class Rebuilding {
  private timer: NodeJS.Timeout | undefined;
  private isStopped = false;

  constructor(
    private readonly steps: NumberedSteps,
    private readonly recall: () => Promise<readonly Sent[]>,
  ) {}

  /** Learns from each reply whether the count is lost. */
  note({ recallInMs }: StepReply): void {
    if (recallInMs !== undefined) this.rebuildIn(recallInMs + RECORDED_WITHIN_MS + Math.random() * SPREAD_MS);
  }

  stop(): void {
    this.isStopped = true;
    clearTimeout(this.timer);
  }

  private rebuildIn(ms: number): void {
    if (this.isStopped) return;
    this.timer ??= setTimeout(() => void this.rebuild(), ms).unref();
  }

  /** While the journal or Redis does not answer, the count stays as it is: blocked for a whole period. */
  private async rebuild(): Promise<void> {
    try {
      const { recallInMs } = await this.steps.peek();
      if (recallInMs !== undefined) await this.steps.peek(await this.recall());
      this.timer = undefined;
    } catch {
      this.timer = undefined;
      this.rebuildIn(RETRY_MS);
    }
  }
}
