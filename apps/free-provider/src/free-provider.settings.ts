import { z } from 'zod';
import { controlSettings } from '#reference-provider';
import { commonSettings, flag, port, wholeNumber } from '#service';

const policies = ['count-then-block', 'fixed-window', 'sliding-window', 'token-bucket', 'unlimited'] as const;
const refillRule = 'must be a number from 0.001 to 100000';

/** Requests that a window accepts; the capacity of a token bucket. */
const limit = wholeNumber({ min: 1, max: 1_000_000 });
const durationMs = wholeNumber({ min: 10, max: 86_400_000 }).default(30_000);
const startsAt = z
  .enum(['last-accept', 'first-refusal'], 'must be last-accept or first-refusal')
  .default('last-accept');
const anchor = z.enum(['first-accept', 'clock'], 'must be first-accept or clock').default('first-accept');
const refillPerSecond = z.coerce.number(refillRule).min(0.001, refillRule).max(100_000, refillRule).default(1);

/** One of several quotas. Fields that its policy does not have are ignored. */
const quotaSchema = z.strictObject({
  name: z.string().regex(/^[a-z0-9-]+$/, 'must be of a-z, 0-9 and -'),
  policy: z.enum(['count-then-block', 'fixed-window', 'sliding-window', 'token-bucket', 'concurrency']),
  limit,
  /** Of a fixed window: a token is a character of the message. */
  unit: z.enum(['requests', 'tokens'], 'must be requests or tokens').default('requests'),
  /** Whether `RateLimit` and `RateLimit-Policy` name it. */
  announced: z.boolean('must be true or false').default(true),
  blockMs: durationMs,
  startsAt,
  windowMs: durationMs,
  anchor,
  refillPerSecond,
});
export type QuotaSettings = z.infer<typeof quotaSchema>;

export const freeProviderSettings = z.object({
  ...commonSettings,
  ...controlSettings,
  PORT: port(4001),
  FREE_POLICY: z.enum(policies, `must be ${policies.join(', ')}`).default('count-then-block'),
  FREE_LIMIT: limit.default(10),
  /** Length of the block of count-then-block, and what starts it. */
  FREE_BLOCK_MS: durationMs,
  FREE_STARTS_AT: startsAt,
  /** Length of the window of fixed-window and sliding-window, and what starts a fixed window. */
  FREE_WINDOW_MS: durationMs,
  FREE_ANCHOR: anchor,
  /** Refill rate of a token bucket. */
  FREE_REFILL_PER_SECOND: refillPerSecond,
  /** Several quotas, as a JSON array, instead of the one above: a request needs room in each. */
  FREE_QUOTAS: z
    .string()
    .transform((text, context) => parseJson(text, context))
    .pipe(z.array(quotaSchema).min(1).max(8))
    .optional(),
  /** Whether to send `RateLimit` and `RateLimit-Policy`. */
  FREE_RATELIMIT_HEADERS: flag(true),
});
export type FreeProviderSettings = z.infer<typeof freeProviderSettings>;

function parseJson(text: string, context: z.RefinementCtx): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    context.addIssue('must be a JSON array of quotas');
    return z.NEVER;
  }
}
