import type { Admission } from '#reference-provider';

/** How the provider counts by one limit. */
export interface Limit extends Admission {
  /** Whether it would accept a request that arrives now. Counts nothing. */
  accepts(nowMs: number): boolean;
}

/** Options of every limit. */
export interface LimitOptions {
  /** Its name in `RateLimit` and `RateLimit-Policy`. */
  name: string;
  /** Whether to send them. */
  sendsHeaders: boolean;
}
