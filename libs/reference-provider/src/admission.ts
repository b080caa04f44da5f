import type { ProviderStats } from '#contracts';

export type Decision = { accepted: true } | { accepted: false; retryAfterMs: number };

/**
 * How a provider counts; the app brings it, and nothing else in this lib counts.
 * `nowMs` is milliseconds since 1970 by a clock that never goes back.
 */
export interface Admission {
  /**
   * Counts one request that arrives now, and accepts or refuses it.
   * @param tokens of its message, for quotas of tokens
   */
  decide(nowMs: number, tokens?: number): Decision;
  /** Header fields that announce the quota, in the answer to every accepted, repeated or refused request. */
  headers(nowMs: number): Record<string, string>;
  /** The answer to an accepted request was sent, or its connection ended. */
  release?(): void;
  stats(): ProviderStats;
  /** Begins a new log. The quota itself continues: a full window stays full. */
  resetStats(): void;
}
