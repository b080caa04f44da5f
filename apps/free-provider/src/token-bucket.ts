import type { Decision } from '#reference-provider';
import type { Limit, LimitOptions } from './limit.js';
import { rateLimitHeaders } from './rate-limit-headers.js';
import { Logged } from './logged.js';

export interface TokenBucketOptions extends LimitOptions {
  /** Capacity, in tokens. */
  limit: number;
  refillPerSecond: number;
}

/**
 * Accepts while there is a whole token, and takes it; starts full. Counts tokens from the moment when the bucket was last
 * full and never adds up fractions, so that rounding errors cannot accumulate.
 */
export class TokenBucket extends Logged implements Limit {
  private fullMs = 0;
  /** Since `fullMs`. */
  private taken = 0;

  constructor(private readonly options: TokenBucketOptions) {
    super();
  }

  accepts(nowMs: number): boolean {
    return this.remaining(nowMs) > 0;
  }

  decide(nowMs: number): Decision {
    if (this.remaining(nowMs) === 0) {
      this.log.refuse();
      return { accepted: false, retryAfterMs: this.nextTokenMs() - nowMs };
    }
    this.log.accept(nowMs);
    this.take(nowMs);
    if (this.remaining(nowMs) === 0) this.log.block({ startsMs: nowMs, endsMs: this.nextTokenMs() });
    return { accepted: true };
  }

  headers(nowMs: number): Record<string, string> {
    const { limit, refillPerSecond, name, sendsHeaders } = this.options;
    if (!sendsHeaders) return {};
    const remaining = this.remaining(nowMs);
    const waitMs = remaining === 0 ? this.nextTokenMs() - nowMs : undefined;
    return rateLimitHeaders({ name, limit, windowMs: (limit * 1000) / refillPerSecond, remaining, waitMs });
  }

  private take(nowMs: number): void {
    if (this.remaining(nowMs) === this.options.limit) {
      this.fullMs = nowMs;
      this.taken = 0;
    }
    this.taken += 1;
  }

  /** Whole tokens. */
  private remaining(nowMs: number): number {
    const missing = this.taken - this.refilled(nowMs);
    return this.options.limit - Math.max(0, missing);
  }

  private refilled(nowMs: number): number {
    const nearest = Math.round(((nowMs - this.fullMs) * this.options.refillPerSecond) / 1000);
    // `refillMs` decides, so that this agrees with the announced times to the last bit.
    return this.refillMs(nearest) <= nowMs ? nearest : nearest - 1;
  }

  /** When that many tokens have been refilled. */
  private refillMs(tokens: number): number {
    return this.fullMs + (tokens * 1000) / this.options.refillPerSecond;
  }

  private nextTokenMs(): number {
    return this.refillMs(this.taken - this.options.limit + 1);
  }
}
