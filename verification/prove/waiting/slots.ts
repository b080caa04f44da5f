import { guardMs, type LimitedPolicy } from '#quota';

/** What pods that count right know of a provider's slots, when answers take some time. Moments never go back. */
export interface Slots {
  open(nowMs: number): number;
  take(nowMs: number): void;
  /** When the next comes back, if none is open. */
  opensAtMs(nowMs: number): number;
  /** Of a fixed window. */
  endsInMs?(nowMs: number): number | undefined;
}

export function slotsOf(policy: LimitedPolicy, answerMs: number): Slots {
  switch (policy.policy) {
    case 'count-then-block':
      return new BlockedSlots(policy.limit, policy.blockMs + guardMs(policy.blockMs) + answerMs);
    case 'fixed-window':
      return new WindowSlots(policy.limit, policy.windowMs, answerMs + guardMs(policy.windowMs));
    case 'sliding-window':
      return new SlidingSlots(policy.limit, policy.windowMs + guardMs(policy.windowMs) + answerMs);
    default:
      return new BucketSlots(policy.capacity, policy.refillPerSecond / 1_000);
  }
}

class BlockedSlots implements Slots {
  private left: number;
  private reopensMs = -Infinity;

  constructor(
    private readonly limit: number,
    private readonly closedMs: number,
  ) {
    this.left = limit;
  }

  open(nowMs: number): number {
    return nowMs < this.reopensMs ? 0 : this.left;
  }

  take(nowMs: number): void {
    this.left -= 1;
    if (this.left > 0) return;
    this.left = this.limit;
    this.reopensMs = nowMs + this.closedMs;
  }

  opensAtMs(): number {
    return this.reopensMs;
  }
}

/** Windows at each multiple of their length; near an end nothing is sent that may be counted in the next. */
class WindowSlots implements Slots {
  private window = -1;
  private used = 0;

  constructor(
    private readonly limit: number,
    private readonly windowMs: number,
    private readonly careMs: number,
  ) {}

  open(nowMs: number): number {
    const window = Math.floor(nowMs / this.windowMs);
    if (window > this.window) this.used = 0;
    this.window = window;
    return this.endsInMs(nowMs) <= this.careMs ? 0 : this.limit - this.used;
  }

  take(): void {
    this.used += 1;
  }

  opensAtMs(nowMs: number): number {
    return (Math.floor(nowMs / this.windowMs) + 1) * this.windowMs;
  }

  endsInMs(nowMs: number): number {
    return this.windowMs - (nowMs % this.windowMs);
  }
}

class SlidingSlots implements Slots {
  private readonly comesBackMs: number[] = [];

  constructor(
    private readonly limit: number,
    private readonly awayMs: number,
  ) {}

  open(nowMs: number): number {
    while ((this.comesBackMs[0] ?? Infinity) <= nowMs) this.comesBackMs.shift();
    return this.limit - this.comesBackMs.length;
  }

  take(nowMs: number): void {
    this.comesBackMs.push(nowMs + this.awayMs);
  }

  opensAtMs(): number {
    return this.comesBackMs[0] ?? -Infinity;
  }
}

class BucketSlots implements Slots {
  private tokens: number;
  private countedMs = 0;

  constructor(
    private readonly capacity: number,
    private readonly perMs: number,
  ) {
    this.tokens = capacity;
  }

  open(nowMs: number): number {
    this.tokens = Math.min(this.capacity, this.tokens + (nowMs - this.countedMs) * this.perMs);
    this.countedMs = nowMs;
    // Sums of fractions: a token is whole at the moment it was said to be.
    return Math.floor(this.tokens + 1e-6);
  }

  take(): void {
    this.tokens -= 1;
  }

  opensAtMs(nowMs: number): number {
    return nowMs + Math.max(0, 1 - this.tokens) / this.perMs;
  }
}
