import { z } from 'zod';

const LONGEST_MS = 366 * 86_400_000;
const limit = z.coerce.number().int('must be a whole number').min(1).max(1_000_000_000);
const durationMs = z.coerce.number().int('must be a whole number').min(1).max(LONGEST_MS);

/** It accepts `limit` requests, then refuses everybody for `blockMs`; a window never ends by time alone. */
const countThenBlockSchema = z.strictObject({
  policy: z.literal('count-then-block'),
  limit,
  blockMs: durationMs,
  /** The block is counted from the last of the `limit` that was accepted, or from the first that was refused. */
  startsAt: z.enum(['last-accept', 'first-refusal']).default('last-accept'),
});

/** It accepts `limit` requests in every window of `windowMs`. */
const fixedWindowSchema = z.strictObject({
  policy: z.literal('fixed-window'),
  limit,
  windowMs: durationMs,
  /** A window begins with the first request accepted after the last one, or at each multiple of `windowMs` since 1970. */
  anchor: z.enum(['first-accept', 'clock']).default('first-accept'),
  /** For `clock`: how far the provider's clock and that of Redis may be apart. */
  clockSkewMs: z.coerce.number().int('must be a whole number').min(0).max(3_600_000).default(50),
});

/** It accepts a request while fewer than `limit` were accepted in the `windowMs` before it. */
const slidingWindowSchema = z.strictObject({ policy: z.literal('sliding-window'), limit, windowMs: durationMs });

/** Each request takes a token of at most `capacity`; they come back at `refillPerSecond`. */
const tokenBucketSchema = z.strictObject({
  policy: z.literal('token-bucket'),
  capacity: limit,
  refillPerSecond: z.coerce.number().min(1e-6).max(1_000_000),
});

/** It accepts everything. */
const unlimitedSchema = z.strictObject({ policy: z.literal('unlimited') });

/** How a provider counts. */
export const quotaPolicySchema = z.discriminatedUnion('policy', [
  countThenBlockSchema,
  fixedWindowSchema,
  slidingWindowSchema,
  tokenBucketSchema,
  unlimitedSchema,
]);
export type QuotaPolicy = z.infer<typeof quotaPolicySchema>;
/** As a person writes it: fields with defaults may be left out. */
export type QuotaPolicyInput = z.input<typeof quotaPolicySchema>;
export type LimitedPolicy = Exclude<QuotaPolicy, { policy: 'unlimited' }>;

/** How many requests it accepts at once, at most. */
export function limitOf(policy: LimitedPolicy): number {
  return policy.policy === 'token-bucket' ? policy.capacity : policy.limit;
}

/** Whether all of it comes back at once: the others' slots or tokens do so one by one. */
export function hasWindows({ policy }: LimitedPolicy): boolean {
  return policy === 'count-then-block' || policy === 'fixed-window';
}

/** The time after which a quota that was spent is whole again, in milliseconds. */
export function periodMsOf(policy: LimitedPolicy): number {
  if (policy.policy === 'count-then-block') return policy.blockMs;
  if (policy.policy === 'token-bucket') return (policy.capacity / policy.refillPerSecond) * 1_000;
  return policy.windowMs;
}

/**
 * Milliseconds added to a provider's block or window so that its clock, running slower than Redis's, cannot make us early.
 * 2·10⁻⁴ is twice the 100 ppm that ordinary quartz oscillators stay within; 2 ms cover both sides' rounding.
 */
export function guardMs(periodMs: number): number {
  return Math.ceil(periodMs * 2e-4) + 2;
}
