import type { Decision } from '#reference-provider';
import type { Limit, LimitOptions } from './limit.js';
import { rateLimitHeaders } from './rate-limit-headers.js';
import { Logged } from './logged.js';

export interface FixedWindowOptions extends LimitOptions {
  limit: number;
  windowMs: number;
  /** What starts a window: a request accepted while no window is open, or the clock at each multiple of `windowMs`. */
  anchor: 'first-accept' | 'clock';
  /** What it counts; default: requests. */
  unit?: 'requests' | 'tokens' | undefined;
}

/**
 * Accepts `limit` requests in each window of `windowMs`; of tokens, requests until `limit` tokens are used, so that the last
 * request may exceed it.
 */
export class FixedWindow extends Logged implements Limit {
  /** Requests or tokens accepted in the window that ends at `endsMs`. */
  private used = 0;
  private endsMs = 0;

  constructor(private readonly options: FixedWindowOptions) {
    super();
  }

  accepts(nowMs: number): boolean {
    return nowMs >= this.endsMs || this.used < this.options.limit;
  }

  decide(nowMs: number, tokens = 1): Decision {
    const { limit, unit } = this.options;
    if (nowMs >= this.endsMs) this.startWindow(nowMs);
    if (this.used >= limit) {
      this.log.refuse();
      return { accepted: false, retryAfterMs: this.endsMs - nowMs };
    }
    const amount = unit === 'tokens' ? tokens : 1;
    this.log.accept(nowMs, amount);
    this.used += amount;
    if (this.used >= limit) this.log.block({ startsMs: nowMs, endsMs: this.endsMs });
    return { accepted: true };
  }

  headers(nowMs: number): Record<string, string> {
    const { limit, windowMs, anchor, name, unit, sendsHeaders } = this.options;
    if (!sendsHeaders) return {};
    // By the clock there is always an open window, even before its first request.
    if (anchor === 'clock' && nowMs >= this.endsMs) this.startWindow(nowMs);
    const isRunning = nowMs < this.endsMs;
    return rateLimitHeaders({
      name,
      unit,
      limit,
      windowMs,
      remaining: isRunning ? Math.max(0, limit - this.used) : limit,
      waitMs: isRunning ? this.endsMs - nowMs : undefined,
    });
  }

  private startWindow(nowMs: number): void {
    const { windowMs, anchor } = this.options;
    this.log.endWindow();
    this.used = 0;
    this.endsMs = (anchor === 'clock' ? nowMs - (nowMs % windowMs) : nowMs) + windowMs;
  }
}
