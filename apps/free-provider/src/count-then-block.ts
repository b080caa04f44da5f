import type { ProviderStats } from '#contracts';
import type { Admission, Decision } from '#reference-provider';

/** Older windows leave the log; the totals keep counting them. */
const WINDOWS_LOGGED = 10_000;

interface Window {
  startedMs: number;
  blockedMs: number | null;
  /** What the quota has given away. */
  used: number;
  /** What the log has seen: less than `used` if the log was reset in between. */
  accepted: number;
  refused: number;
}

export interface CountThenBlockOptions {
  limit: number;
  blockMs: number;
  /** Whether to send `RateLimit` and `RateLimit-Policy`. */
  sendsHeaders: boolean;
}

/**
 * Accepts `limit` requests, then refuses everybody for `blockMs` from the last accept on.
 * A window starts with the first request it accepts.
 */
export class CountThenBlock implements Admission {
  private current: Window | undefined;
  private past: Window[] = [];
  private accepted = 0;
  private refused = 0;

  constructor(private readonly options: CountThenBlockOptions) {}

  decide(nowMs: number): Decision {
    const window = this.windowAt(nowMs) ?? this.startWindow(nowMs);
    if (window.blockedMs !== null) {
      this.refused += 1;
      window.refused += 1;
      return { accepted: false, retryAfterMs: this.reopensMs(window.blockedMs) - nowMs };
    }
    this.accepted += 1;
    window.accepted += 1;
    window.used += 1;
    if (window.used === this.options.limit) window.blockedMs = nowMs;
    return { accepted: true };
  }

  /** Structured fields of draft-ietf-httpapi-ratelimit-headers. Seconds are rounded up: never too early. */
  headers(nowMs: number): Record<string, string> {
    const { limit, blockMs, sendsHeaders } = this.options;
    if (!sendsHeaders) return {};
    return {
      'ratelimit-policy': `"free";q=${limit};w=${Math.ceil(blockMs / 1000)}`,
      ratelimit: `"free";${this.remaining(nowMs)}`,
    };
  }

  stats(): ProviderStats {
    const logged = this.current === undefined ? this.past : [...this.past, this.current];
    return {
      accepted: this.accepted,
      refused: this.refused,
      windows: logged
        .filter(({ accepted, refused }) => accepted + refused > 0)
        .slice(-WINDOWS_LOGGED)
        .map((window) => this.describe(window)),
    };
  }

  resetStats(): void {
    this.accepted = 0;
    this.refused = 0;
    this.past = [];
    if (this.current !== undefined) this.current = { ...this.current, accepted: 0, refused: 0 };
  }

  /** The window a request at this moment falls into; none if it would start one. */
  private windowAt(nowMs: number): Window | undefined {
    const { current } = this;
    if (current === undefined || current.blockedMs === null) return current;
    return nowMs < this.reopensMs(current.blockedMs) ? current : undefined;
  }

  private startWindow(nowMs: number): Window {
    if (this.current !== undefined) this.past.push(this.current);
    if (this.past.length > WINDOWS_LOGGED) this.past.shift();
    this.current = { startedMs: nowMs, blockedMs: null, used: 0, accepted: 0, refused: 0 };
    return this.current;
  }

  private reopensMs(blockedMs: number): number {
    return blockedMs + this.options.blockMs;
  }

  private remaining(nowMs: number): string {
    const window = this.windowAt(nowMs);
    if (window === undefined) return `r=${this.options.limit}`;
    if (window.blockedMs === null) return `r=${this.options.limit - window.used}`;
    return `r=0;t=${Math.ceil((this.reopensMs(window.blockedMs) - nowMs) / 1000)}`;
  }

  private describe({ startedMs, blockedMs, accepted, refused }: Window): ProviderStats['windows'][number] {
    return {
      startedAt: instant(startedMs),
      blockedAt: blockedMs === null ? null : instant(blockedMs),
      reopensAt: blockedMs === null ? null : instant(this.reopensMs(blockedMs)),
      accepted,
      refused,
    };
  }
}

/** RFC 3339. */
function instant(ms: number): string {
  return new Date(ms).toISOString();
}
