/** Messages per second. */
export interface Rates {
  /** Over a short memory. */
  recent: number;
  /** Over a memory long enough to recognise a burst or a lull. */
  usual: number;
}

export interface Memories {
  recentMs: number;
  usualMs: number;
}

/**
 * Recent and usual rate of arrivals: two counts that decay exponentially. For Poisson arrivals at rate u the estimate has
 * a standard deviation of √(u / (2·memory)). Rates of several pods may be added.
 */
export class ArrivalRate {
  private readonly recent: DecayingCount;
  private readonly usual: DecayingCount;

  constructor({ recentMs, usualMs }: Memories, nowMs: number) {
    this.recent = new DecayingCount(recentMs, nowMs);
    this.usual = new DecayingCount(usualMs, nowMs);
  }

  note(nowMs: number): void {
    this.recent.add(nowMs);
    this.usual.add(nowMs);
  }

  perSecond(nowMs: number): Rates {
    return { recent: this.recent.perSecond(nowMs), usual: this.usual.perSecond(nowMs) };
  }
}

class DecayingCount {
  private count = 0;
  private countedMs: number;

  constructor(
    private readonly memoryMs: number,
    private readonly sinceMs: number,
  ) {
    this.countedMs = sinceMs;
  }

  add(nowMs: number): void {
    this.decay(nowMs);
    this.count += 1;
  }

  perSecond(nowMs: number): number {
    this.decay(nowMs);
    // Divides by the time counted so far, but at least a quarter of the memory: the first arrival is no flood.
    const age = Math.max(0.25, (this.countedMs - this.sinceMs) / this.memoryMs);
    return (this.count * 1_000) / (this.memoryMs * (1 - Math.exp(-age)));
  }

  private decay(nowMs: number): void {
    if (nowMs <= this.countedMs) return;
    this.count *= Math.exp((this.countedMs - nowMs) / this.memoryMs);
    this.countedMs = nowMs;
  }
}
