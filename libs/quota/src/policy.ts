import { z } from 'zod';
import { type Calendar, CALENDAR_UNITS, isTimeZone, LONGEST_UNIT_MS } from './calendar.js';

const LONGEST_MS = 366 * 86_400_000;
/** Slots in flight have no period; this is how long one request may take. */
const CONCURRENCY_PERIOD_MS = 1_000;
const limit = z.coerce.number().int('must be a whole number').min(1).max(1_000_000_000);
const durationMs = z.coerce.number().int('must be a whole number').min(1).max(LONGEST_MS);

/** Accepts `limit` requests, then refuses all requests for `blockMs`. A window never ends by time alone. */
const countThenBlockSchema = z.strictObject({
  policy: z.literal('count-then-block'),
  limit,
  blockMs: durationMs,
  /** The block starts at the last accepted request of the window, or at the first refused one. */
  startsAt: z.enum(['last-accept', 'first-refusal']).default('last-accept'),
});

/** Accepts `limit` requests in every window of `windowMs`. */
interface PlainWindow {
  policy: 'fixed-window';
  limit: number;
  windowMs: number;
  anchor: 'first-accept' | 'clock';
  clockSkewMs: number;
}

/** Accepts `limit` requests in every second, minute, hour, day, week or month of a calendar. A week starts on Monday. */
interface CalendarWindow extends Calendar {
  policy: 'fixed-window';
  limit: number;
  clockSkewMs: number;
}

const fixedWindowSchema = z
  .strictObject({
    policy: z.literal('fixed-window'),
    limit,
    windowMs: durationMs.optional(),
    /** A window starts with the first request accepted after the previous one, or at each multiple of `windowMs` since 1970. */
    anchor: z.enum(['first-accept', 'clock']).optional(),
    /** Instead of `windowMs`. */
    every: z.enum(CALENDAR_UNITS).optional(),
    /** IANA name of the time zone; default UTC. */
    timeZone: z.string().refine(isTimeZone, 'must be an IANA time zone such as America/Los_Angeles').optional(),
    /** Calendar windows start this long after the unit does; negative for earlier. */
    offsetMs: z.coerce.number().int('must be a whole number').min(-LONGEST_MS).max(LONGEST_MS).optional(),
    /** For windows by a clock: the largest difference between the provider's clock and the clock of Redis. */
    clockSkewMs: z.coerce.number().int('must be a whole number').min(0).max(3_600_000).default(50),
  })
  .superRefine(({ windowMs, anchor, every, timeZone, offsetMs }, context) => {
    if ((windowMs === undefined) === (every === undefined)) context.addIssue('must have one of windowMs and every');
    if (every === undefined && (timeZone ?? offsetMs) !== undefined)
      context.addIssue('timeZone and offsetMs need every');
    if (every !== undefined && anchor !== undefined) context.addIssue('must have at most one of anchor and every');
  })
  .transform(({ windowMs = 0, anchor = 'first-accept', every, timeZone = 'UTC', offsetMs = 0, ...common }) =>
    every === undefined
      ? ({ ...common, windowMs, anchor } satisfies PlainWindow)
      : ({ ...common, every, timeZone, offsetMs } satisfies CalendarWindow),
  );

/** Accepts a request while it has accepted fewer than `limit` in the preceding `windowMs`. */
const slidingWindowSchema = z.strictObject({ policy: z.literal('sliding-window'), limit, windowMs: durationMs });

/** Each request takes a token from a bucket of `capacity` tokens, which refills at `refillPerSecond`. */
const tokenBucketSchema = z.strictObject({
  policy: z.literal('token-bucket'),
  capacity: limit,
  refillPerSecond: z.coerce.number().min(1e-6).max(1_000_000),
});

/** Accepts a request while fewer than `limit` are in flight. */
const concurrencySchema = z.strictObject({ policy: z.literal('concurrency'), limit });

/** Accepts everything: such a provider has no quota, and `Quota` does not take it. */
const unlimitedSchema = z.strictObject({ policy: z.literal('unlimited') });

/** How a provider counts. */
export const quotaPolicySchema = z.discriminatedUnion('policy', [
  countThenBlockSchema,
  fixedWindowSchema,
  slidingWindowSchema,
  tokenBucketSchema,
  concurrencySchema,
  unlimitedSchema,
]);
export type QuotaPolicy = z.infer<typeof quotaPolicySchema>;
/** As configured: fields with defaults are optional. */
export type QuotaPolicyInput = z.input<typeof quotaPolicySchema>;
export type LimitedPolicy = Exclude<QuotaPolicy, { policy: 'unlimited' }>;

/** The most requests that the provider accepts at once. */
export function limitOf(policy: LimitedPolicy): number {
  return policy.policy === 'token-bucket' ? policy.capacity : policy.limit;
}

/** Whether all slots return at once, at the end of a window. With the other policies they return one by one. */
export function hasWindows({ policy }: LimitedPolicy): boolean {
  return policy === 'count-then-block' || policy === 'fixed-window';
}

/** The time after which a spent quota is whole again, in milliseconds; of calendar units the longest. */
export function periodMsOf(policy: LimitedPolicy): number {
  if (policy.policy === 'count-then-block') return policy.blockMs;
  if (policy.policy === 'token-bucket') return (policy.capacity / policy.refillPerSecond) * 1_000;
  if (policy.policy === 'concurrency') return CONCURRENCY_PERIOD_MS;
  return 'every' in policy ? LONGEST_UNIT_MS[policy.every] : policy.windowMs;
}

/** A window without an end may have begun long ago. */
const UNENDING_WINDOW_MS = 7 * 86_400_000;

/** How far back requests matter to a count that is rebuilt, in milliseconds. */
export function recalledMs(policy: LimitedPolicy): number {
  const periodMs = periodMsOf(policy);
  return policy.policy === 'count-then-block' ? Math.max(2 * periodMs, UNENDING_WINDOW_MS) : periodMs;
}

/**
 * Milliseconds added to a provider's block or window, so that a provider clock slower than that of Redis cannot make a
 * pod send early. 2·10⁻⁴ is twice the 100 ppm that ordinary quartz oscillators stay within; 2 ms cover the rounding of both
 * sides.
 */
export function guardMs(periodMs: number): number {
  return Math.ceil(periodMs * 2e-4) + 2;
}
