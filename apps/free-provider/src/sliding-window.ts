import type { Decision } from '#reference-provider';
import type { Limit, LimitOptions } from './limit.js';
import { rateLimitHeaders } from './rate-limit-headers.js';
import { Logged } from './logged.js';

export interface SlidingWindowOptions extends LimitOptions {
  limit: number;
  windowMs: number;
}

/** Accepts while fewer than `limit` requests were accepted in the last `windowMs`. */
export class SlidingWindow extends Logged implements Limit {
  /** When accepted request n leaves the window, at index n modulo `limit`: the window never holds more. */
  private readonly leavesMs: number[] = [];
  private accepted = 0;
  /** How many of the accepted have left the window. */
  private left = 0;

  constructor(private readonly options: SlidingWindowOptions) {
    super();
  }

  accepts(nowMs: number): boolean {
    return this.remaining(nowMs) > 0;
  }

  decide(nowMs: number): Decision {
    const { limit, windowMs } = this.options;
    if (this.remaining(nowMs) === 0) {
      this.log.refuse();
      return { accepted: false, retryAfterMs: this.nextLeavesMs() - nowMs };
    }
    this.log.accept(nowMs);
    this.leavesMs[this.accepted % limit] = nowMs + windowMs;
    this.accepted += 1;
    if (this.remaining(nowMs) === 0) this.log.block({ startsMs: nowMs, endsMs: this.nextLeavesMs() });
    return { accepted: true };
  }

  headers(nowMs: number): Record<string, string> {
    const { limit, windowMs, name, sendsHeaders } = this.options;
    if (!sendsHeaders) return {};
    const remaining = this.remaining(nowMs);
    const waitMs = remaining === 0 ? this.nextLeavesMs() - nowMs : undefined;
    return rateLimitHeaders({ name, limit, windowMs, remaining, waitMs });
  }

  private remaining(nowMs: number): number {
    while (this.left < this.accepted && this.nextLeavesMs() <= nowMs) this.left += 1;
    return this.options.limit - (this.accepted - this.left);
  }

  private nextLeavesMs(): number {
    return this.leavesMs[this.left % this.options.limit] ?? 0;
  }
}
