import type { Announcement } from './announcements/announcement.js';
import type { LimitedPolicy } from './policy.js';

/** The right to send one request to a provider, in one epoch, before `sendByMs`. */
export interface Permit {
  readonly provider: string;
  /** Number of the provider's window; increases whenever a window ends. */
  readonly epoch: number;
  /** Increases within an epoch whenever unsettled permits time out. */
  readonly generation: number;
  /** On this process's monotonic clock (`performance.now()`), in milliseconds. */
  readonly sendByMs: number;
  /** When Redis granted it, in milliseconds on the clock of Redis. Only the step script uses it. */
  readonly grantedAtMs: number;
  /** How much of its quota it takes. */
  readonly amount: number;
  /** Of an account whose quotas count amounts: what was reserved, by the names of the quotas. */
  readonly amounts?: Amounts;
  /** Of an account with several quotas: a permit of each. */
  readonly parts?: readonly Permit[];
}

/** Amounts, such as tokens, by the names of the quotas that count them. */
export type Amounts = Readonly<Record<string, number>>;

/** What became of a permit, and what the provider's answer announced about its quota, see `readAnnouncement`. */
export type Settlement =
  /** The provider accepted the request and counted it. `used`: what it counted, where that differs from the estimate. */
  | { outcome: 'accepted'; announced?: Announcement | undefined; used?: Amounts | undefined }
  /** The provider refused the request (HTTP 429). */
  | { outcome: 'refused'; announced?: Announcement | undefined }
  /** The request provably never reached the provider: no connection, or aborted before sending. Gives the slot back. */
  | { outcome: 'notSent' }
  /** Sent, but no answer tells whether the provider counted it. The slot stays used. */
  | { outcome: 'unknown' };

export type Reservation =
  | { granted: true; permit: Permit }
  /** `waitMs` until the quota opens: exact when blocked; when spent, assuming that its permits settle now. */
  | { granted: false; reason: 'blocked' | 'spent'; waitMs: number }
  /** Redis did not answer within the budget. Without a permit, do not send. */
  | { granted: false; reason: 'unavailable' };

/** A provider's quota as Redis counts it now. */
export interface QuotaState {
  state: 'open' | 'spent' | 'blocked';
  epoch: number;
  /** The configured limit, or the one the provider announced. */
  limit: number;
  used: number;
  waitMs: number;
  /** Of a fixed window that has begun: how long its slots can still be used, in milliseconds. */
  windowEndsInMs: number | undefined;
  /** How `used` is known: by own count, announced by the provider, or rebuilt after Redis lost the count. */
  source: 'counted' | 'announced' | 'recovered';
  /** Closed because the provider refused a request in a way that this quota does not explain. */
  isHeld: boolean;
}

/** A quota of an account, by its name. */
export interface NamedQuotaState extends QuotaState {
  name: string;
  policy: LimitedPolicy;
  /** What it counts: `requests`, or an amount for each request. */
  unit: string;
}

/** One answered round trip to Redis. */
export interface QuotaStep extends Omit<QuotaState, 'windowEndsInMs' | 'isHeld' | 'source'> {
  provider: string;
  /** Names the quota, where the provider has several. */
  quota?: string | undefined;
  /** Permits that callers waited for and that are taken ahead; 0 when the trip only settled, or only read the count. */
  wanted: number;
  granted: number;
  tookMs: number;
}

/** `quota` names the quota, where the provider has several. */
export type QuotaEvent = { quota?: string } &
  /** `forgotten`: Redis lost the count; `rebuilt`: it was restored from what `recall` returned. */
  (
    | { event: 'blocked' | 'reopened' | 'forgotten' | 'rebuilt'; provider: string; epoch: number; waitMs: number }
    | { event: 'refused'; provider: string; epoch: number; retryAfterMs: number | undefined }
    /** Another client uses the same account: `requests` of the provider's count are not ours. */
    | { event: 'foreign use'; provider: string; epoch: number; requests: number }
    /** The provider announced a limit other than the configured one, or withdrew it. */
    | { event: 'limit changed'; provider: string; limit: number; configured: number }
    /** The announced `remaining` does not decrease as requests are accepted. It is ignored from now on. */
    | { event: 'announcements ignored'; provider: string }
    | { event: 'store lost' | 'store back'; provider: string; error?: unknown }
  );
