import { z } from 'zod';
import { redisUrl, wholeNumber } from '#service';

/** Settings of every app that calls a limited service. */
export const limitedClientSettings = {
  REDIS_URL: redisUrl(),
  /** What a missing count in Redis means: `blocked` waits out a period; `fresh` is for a Redis that is always new. */
  QUOTA_WHEN_FORGOTTEN: z.enum(['blocked', 'fresh']).default('blocked'),
  /** How long a request waits for Redis to grant its permit. */
  QUOTA_BUDGET_MS: wholeNumber({ min: 10, max: 60_000 }).default(100),
};
