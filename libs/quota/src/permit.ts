/** The right to send one request to a provider, in one epoch, before a moment. */
export interface Permit {
  readonly provider: string;
  /** Number of the provider's window. */
  readonly epoch: number;
  /** Goes up within an epoch whenever permits that nobody settled are given up. */
  readonly generation: number;
  /** On this process's monotonic clock (`performance.now()`), in milliseconds. */
  readonly sendByMs: number;
}

/** What became of a permit. */
export type Settlement =
  /** The provider answered and has counted the request. */
  | { outcome: 'accepted' }
  /** The provider refused it (HTTP 429); `retryAfterMs` is what it said of when to come back. */
  | { outcome: 'refused'; retryAfterMs?: number | undefined }
  /** Proven not to have reached the provider: no connection, aborted before sending. The slot is given back. */
  | { outcome: 'notSent' }
  /** Sent, and nobody knows whether it was counted. It stays counted. */
  | { outcome: 'unknown' };

export type Reservation =
  | { granted: true; permit: Permit }
  /** `waitMs`: until the quota opens; exact when blocked; when spent, if its permits settled now. */
  | { granted: false; reason: 'blocked' | 'spent'; waitMs: number }
  /** The quota store did not answer within the budget. No permit, no send. */
  | { granted: false; reason: 'unavailable' };

/** A provider's quota as the store sees it now. */
export interface QuotaState {
  state: 'open' | 'spent' | 'blocked';
  epoch: number;
  limit: number;
  used: number;
  waitMs: number;
}

export type QuotaEvent =
  | { event: 'blocked' | 'reopened' | 'forgotten'; provider: string; epoch: number; waitMs: number }
  | { event: 'refused'; provider: string; epoch: number; retryAfterMs: number | undefined }
  | { event: 'store lost' | 'store back'; provider: string; error?: unknown };
