import type { Announcement } from './announcements/announcement.js';

/** The right to send one request to a provider, in one epoch, before a moment. */
export interface Permit {
  readonly provider: string;
  /** Number of the provider's window; goes up whenever one ends. */
  readonly epoch: number;
  /** Goes up within an epoch whenever permits that nobody settled are given up. */
  readonly generation: number;
  /** On this process's monotonic clock (`performance.now()`), in milliseconds. */
  readonly sendByMs: number;
  /** When it was granted, in milliseconds on the store's clock: of use to the store only, that gets it back. */
  readonly grantedAtMs: number;
}

/** What became of a permit, and what the provider's answer said of its quota, see `readAnnouncement`. */
export type Settlement =
  /** The provider answered and has counted the request. */
  | { outcome: 'accepted'; announced?: Announcement | undefined }
  /** The provider refused it (HTTP 429). */
  | { outcome: 'refused'; announced?: Announcement | undefined }
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
  /** As configured, or as the provider announced. */
  limit: number;
  used: number;
  waitMs: number;
}

export type QuotaEvent =
  | { event: 'blocked' | 'reopened' | 'forgotten'; provider: string; epoch: number; waitMs: number }
  | { event: 'refused'; provider: string; epoch: number; retryAfterMs: number | undefined }
  /** Somebody else uses the same account: so many requests that are not ours. */
  | { event: 'foreign use'; provider: string; epoch: number; requests: number }
  /** The provider announced another limit than is configured, or took it back. */
  | { event: 'limit changed'; provider: string; limit: number; configured: number }
  /** What the provider says remains does not go down as it accepts: from now on it is not used. */
  | { event: 'announcements ignored'; provider: string }
  | { event: 'store lost' | 'store back'; provider: string; error?: unknown };
