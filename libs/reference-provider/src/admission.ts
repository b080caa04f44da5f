import type { ProviderStats } from '#contracts';

export type Decision = { accepted: true } | { accepted: false; retryAfterMs: number };

/**
 * How a provider counts. The app brings it; nothing else in this lib counts.
 * `nowMs` is in milliseconds since 1970 by a clock that never goes back.
 */
export interface Admission {
  /** Accepts or refuses, and counts, one request arriving now. */
  decide(nowMs: number): Decision;
  /** What the quota says of itself now: header fields of accepted, repeated and refused requests alike. */
  headers(nowMs: number): Record<string, string>;
  stats(): ProviderStats;
  /** Begins a new log. The quota itself goes on: a full window stays full. */
  resetStats(): void;
}
