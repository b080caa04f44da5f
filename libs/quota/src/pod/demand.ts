/** Callers expected within this time share the step of the callers that are here. */
const PREFETCH_MS = 10;
const PREFETCH_MAX = 32;
/** A step prefetches one permit for each 1,000 left to all pods. No pod misses them: they are given back within 50 ms. */
const LEFT_PER_PREFETCH = 1_000;

/**
 * How many permits a step prefetches for callers that have not come yet. Without it, callers that follow each other would
 * make one trip each; the rate of the last callers predicts how many will follow. A quota that may run out is never
 * prefetched from.
 */
export class Demand {
  /** Callers since the last step. */
  private callers = 0;
  private lastStepAtMs = -Infinity;
  private left = 0;

  noteCaller(): void {
    this.callers += 1;
  }

  /** @param left how many more permits the quota can grant to all pods, as of the last step */
  noteLeft(left: number): void {
    this.left = left;
  }

  /**
   * The number of permits to prefetch with a step made now.
   * @param nowMs on the monotonic clock
   */
  prefetch(nowMs: number): number {
    const expected = (this.callers / (nowMs - this.lastStepAtMs)) * PREFETCH_MS;
    this.callers = 0;
    this.lastStepAtMs = nowMs;
    return Math.min(PREFETCH_MAX, Math.floor(expected), Math.floor(this.left / LEFT_PER_PREFETCH));
  }
}
