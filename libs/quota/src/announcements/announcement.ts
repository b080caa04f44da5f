import { type LimitedPolicy, limitOf, periodMsOf } from '../policy.js';
import {
  type AnnouncedLimit,
  type AnsweredHeaders,
  type LimitHeaders,
  readLimits,
  readMapped,
  textOf,
} from './announced-limits.js';
import { durationMsOf, millisecondsOf } from './announced-values.js';

/** What a provider's answer announces about the quotas of an account. Absent or implausible fields are left out. */
export interface Announcement {
  /** How long to wait before the next request, in milliseconds. Providers round to whole seconds, up or down. */
  retryAfterMs?: number;
  /** A limit has nothing left until this time has passed, in milliseconds. */
  emptyForMs?: number;
  /** As `emptyForMs`, for limits that match no quota: nothing is known of their windows. At most 60 s. */
  holdMs?: number;
  /** Requests left in the window of the first quota. */
  remaining?: number;
  /** Until its requests become available, in milliseconds, rounded like `retryAfterMs`. */
  resetMs?: number;
  /** Requests per window. Not used unless `windowMs` is announced too. */
  limit?: number;
  windowMs?: number;
  /** What is announced of the second quota, the third, and so on. */
  others?: readonly (Announcement | undefined)[];
}

/** A quota that announcements may be about. */
export interface AnnouncedQuota {
  /** Providers may use the same name. */
  name?: string | undefined;
  policy: LimitedPolicy;
  /** What is counted; default `requests`. */
  unit?: string | undefined;
  /** Headers that describe this quota, whatever other headers say. */
  headers?: LimitHeaders | undefined;
}

export type AnnouncementReader = (headers: AnsweredHeaders) => Announcement | undefined;

/** How long a limit that matches no quota may hold the account back. */
const UNMATCHED_HOLD_MAX_MS = 60_000;
/** A Retry-After of more than this is cut. */
const RETRY_AFTER_MAX_MS = 7 * 86_400_000;
/** A longer Retry-After than the longest period needs to be confirmed by a reset. */
const PERIODS_MAX = 1.5;
/** Providers with a limit a second name waits of half a minute. */
const BELIEVED_MS = 45_000;
/** Providers round times to whole seconds. */
const ROUNDING_MS = 1_000;
const REQUESTS = 'requests';

/**
 * Reads what answers announce about these quotas: `Retry-After` (RFC 9110, 10.2.3), `Retry-After-Ms`, and limits, see
 * `readLimits`. A limit is matched to a quota by its headers, its name, its window, its unit, or an equal number. One that
 * matches none changes no count. Times are compared with the answer's own `Date`, because clocks differ; without a `Date`
 * they are ignored.
 */
export function announcementReader(quotas: readonly AnnouncedQuota[]): AnnouncementReader {
  const mapped = quotas.flatMap(({ headers }, index) => (headers === undefined ? [] : [{ headers, index }]));
  const longestMs = Math.max(...quotas.map(({ policy }) => periodMsOf(policy)), 0);
  return (headers) => {
    const nowMs = Date.parse(textOf(headers, 'date') ?? '');
    const found: (AnnouncedLimit | undefined)[] = [];
    const unmatched: AnnouncedLimit[] = [];
    for (const { headers: names, index } of mapped) found[index] = readMapped(headers, names, nowMs);
    for (const limit of readLimits(headers, nowMs)) {
      const index = matchOf(limit, quotas);
      if (index < 0) unmatched.push(limit);
      else found[index] ??= limit;
    }
    return announcementOf({ found, unmatched, retryAfterMs: readRetryAfter(headers, nowMs), longestMs });
  };
}

/** The wait that a refusal names, in any form. */
export function waitMsOf(announced: Announcement | undefined): number | undefined {
  return announced?.retryAfterMs ?? announced?.emptyForMs;
}

interface Found {
  found: readonly (AnnouncedLimit | undefined)[];
  unmatched: readonly AnnouncedLimit[];
  retryAfterMs: number | undefined;
  longestMs: number;
}

function announcementOf({ found, unmatched, retryAfterMs, longestMs }: Found): Announcement | undefined {
  const [announced = {}, ...others] = found.map(usable);
  if (others.some((other) => other !== undefined)) announced.others = others;
  const holdMs = emptyFor(unmatched);
  const emptyForMs = Math.max(holdMs, emptyFor(found));
  if (holdMs >= 0) announced.holdMs = Math.min(holdMs, UNMATCHED_HOLD_MAX_MS);
  if (emptyForMs >= 0) announced.emptyForMs = Math.min(emptyForMs, RETRY_AFTER_MAX_MS);
  if (retryAfterMs !== undefined) {
    const isConfirmed = emptyForMs >= retryAfterMs - ROUNDING_MS || longestMs === 0;
    const mostMs = isConfirmed
      ? RETRY_AFTER_MAX_MS
      : Math.min(RETRY_AFTER_MAX_MS, Math.max(BELIEVED_MS, PERIODS_MAX * longestMs));
    // The count adds the rounding to a wait beyond its period.
    announced.retryAfterMs = Math.min(retryAfterMs, Math.max(mostMs - ROUNDING_MS, longestMs, ROUNDING_MS));
  }
  return Object.keys(announced).length === 0 ? undefined : announced;
}

/** Without a number that remains, a limit says nothing. */
function usable(limit: AnnouncedLimit | undefined): Announcement | undefined {
  if (limit?.remaining === undefined) return undefined;
  const announced: Announcement = { remaining: limit.remaining };
  if (limit.resetMs !== undefined) announced.resetMs = limit.resetMs;
  if (limit.limit !== undefined) announced.limit = limit.limit;
  if (limit.windowMs !== undefined) announced.windowMs = limit.windowMs;
  return announced;
}

/** The longest reset of the limits with nothing remaining; -1 if there is none. */
function emptyFor(limits: readonly (AnnouncedLimit | undefined)[]): number {
  const resets = limits.map((limit) => (limit?.remaining === 0 ? (limit.resetMs ?? -1) : -1));
  return Math.max(-1, ...resets);
}

function readRetryAfter(headers: AnsweredHeaders, nowMs: number): number | undefined {
  const exact = millisecondsOf(textOf(headers, 'retry-after-ms'));
  if (exact !== undefined) return exact;
  const waitMs = durationMsOf(textOf(headers, 'retry-after'), nowMs);
  const isPast = waitMs === 0 && !/^0+(\.0+)?$/.test(textOf(headers, 'retry-after') ?? '');
  return isPast ? undefined : waitMs;
}

/** The index of the quota that a limit is about; -1 for none. */
function matchOf(limit: AnnouncedLimit, quotas: readonly AnnouncedQuota[]): number {
  // Providers announce what they count, not what is in flight.
  const isUnit = ({ unit = REQUESTS, policy }: AnnouncedQuota): boolean =>
    unit === (limit.unit ?? REQUESTS) && policy.policy !== 'concurrency';
  const indexOf = (matches: (quota: AnnouncedQuota) => boolean): number =>
    quotas.findIndex((quota) => isUnit(quota) && matches(quota));
  const byName = limit.name === undefined ? -1 : indexOf(({ name }) => name === limit.name);
  if (byName >= 0) return byName;
  const byWindow = limit.windowMs === undefined ? -1 : indexOf((quota) => isOfWindow(limit, quota));
  if (byWindow >= 0) return byWindow;
  const byLimit = indexOf((quota) => limit.limit === limitOf(quota.policy) && mayHaveWindow(limit, quota));
  if (byLimit >= 0 || limit.unit === undefined) return byLimit;
  const ofUnit = quotas.filter(isUnit);
  const [only] = ofUnit;
  return ofUnit.length === 1 && only !== undefined && mayHaveWindow(limit, only) ? quotas.indexOf(only) : -1;
}

/** Window lengths are announced in whole seconds. */
function isOfWindow({ windowMs = NaN }: AnnouncedLimit, { policy }: AnnouncedQuota): boolean {
  return Math.abs(windowMs - periodMsOf(policy)) < ROUNDING_MS;
}

/** A block is not a window: what a provider says of its length cannot be compared. */
function mayHaveWindow(limit: AnnouncedLimit, quota: AnnouncedQuota): boolean {
  return limit.windowMs === undefined || quota.policy.policy === 'count-then-block' || isOfWindow(limit, quota);
}
