import type { Decision } from '#reference-provider';
import type { Limit, LimitOptions } from './limit.js';
import { rateLimitHeaders } from './rate-limit-headers.js';
import { Logged } from './logged.js';

export interface CountThenBlockOptions extends LimitOptions {
  limit: number;
  blockMs: number;
  /** What starts the block: the request that uses the limit up, or the first request after it. */
  startsAt: 'last-accept' | 'first-refusal';
}

/** Accepts `limit` requests, then refuses all for `blockMs`. */
export class CountThenBlock extends Logged implements Limit {
  /** Accepted since the latest block. */
  private used = 0;
  private reopensMs = 0;

  constructor(private readonly options: CountThenBlockOptions) {
    super();
  }

  accepts(nowMs: number): boolean {
    return this.used < this.options.limit && nowMs >= this.reopensMs;
  }

  decide(nowMs: number): Decision {
    const { limit, startsAt } = this.options;
    if (this.used === limit) this.block(nowMs);
    if (nowMs < this.reopensMs) {
      this.log.refuse();
      return { accepted: false, retryAfterMs: this.reopensMs - nowMs };
    }
    this.log.accept(nowMs);
    this.used += 1;
    if (startsAt === 'last-accept' && this.used === limit) this.block(nowMs);
    return { accepted: true };
  }

  headers(nowMs: number): Record<string, string> {
    const { limit, blockMs, name, sendsHeaders } = this.options;
    if (!sendsHeaders) return {};
    const isBlocked = nowMs < this.reopensMs;
    return rateLimitHeaders({
      name,
      limit,
      windowMs: blockMs,
      remaining: isBlocked ? 0 : limit - this.used,
      waitMs: isBlocked ? this.reopensMs - nowMs : undefined,
    });
  }

  private block(nowMs: number): void {
    this.used = 0;
    this.reopensMs = nowMs + this.options.blockMs;
    this.log.block({ startsMs: nowMs, endsMs: this.reopensMs });
  }
}
