import { z } from 'zod';
import { commonSettings, flag, port, wholeNumber } from '#service';

export const freeProviderSettings = z.object({
  ...commonSettings,
  PORT: port(4001),
  /** How many requests a window accepts. */
  FREE_LIMIT: wholeNumber({ min: 1, max: 1_000_000 }).default(10),
  FREE_BLOCK_MS: wholeNumber({ min: 10, max: 86_400_000 }).default(30_000),
  FREE_POLICY: z.enum(['count-then-block'], 'must be count-then-block').default('count-then-block'),
  /** Whether to send `RateLimit` and `RateLimit-Policy`. */
  FREE_RATELIMIT_HEADERS: flag(true),
});
export type FreeProviderSettings = z.infer<typeof freeProviderSettings>;
