import { z } from 'zod';
import { controlSettings } from '#reference-provider';
import { commonSettings, flag, port, wholeNumber } from '#service';

const policies = ['count-then-block', 'fixed-window', 'sliding-window', 'token-bucket', 'unlimited'] as const;
const refillRule = 'must be a number from 0.001 to 100000';

export const freeProviderSettings = z.object({
  ...commonSettings,
  ...controlSettings,
  PORT: port(4001),
  FREE_POLICY: z.enum(policies, `must be ${policies.join(', ')}`).default('count-then-block'),
  /** Requests that a window accepts; the capacity of a token bucket. */
  FREE_LIMIT: wholeNumber({ min: 1, max: 1_000_000 }).default(10),
  /** Length of the block of count-then-block, and what starts it. */
  FREE_BLOCK_MS: durationMs(),
  FREE_STARTS_AT: z
    .enum(['last-accept', 'first-refusal'], 'must be last-accept or first-refusal')
    .default('last-accept'),
  /** Length of the window of fixed-window and sliding-window, and what starts a fixed window. */
  FREE_WINDOW_MS: durationMs(),
  FREE_ANCHOR: z.enum(['first-accept', 'clock'], 'must be first-accept or clock').default('first-accept'),
  /** Refill rate of a token bucket. */
  FREE_REFILL_PER_SECOND: z.coerce.number(refillRule).min(0.001, refillRule).max(100_000, refillRule).default(1),
  /** Whether to send `RateLimit` and `RateLimit-Policy`. */
  FREE_RATELIMIT_HEADERS: flag(true),
});
export type FreeProviderSettings = z.infer<typeof freeProviderSettings>;

function durationMs() {
  return wholeNumber({ min: 10, max: 86_400_000 }).default(30_000);
}
