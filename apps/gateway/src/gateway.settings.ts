import { z } from 'zod';
import { accessTokenSettings } from '#access-token';
import { commonSettings, httpUrl, port, postgresUrl, redisUrl, wholeNumber } from '#service';
import { callbackSettings } from './callbacks/callback-settings.js';

export const gatewaySettings = z.object({
  ...commonSettings,
  PORT: port(3000),
  REDIS_URL: redisUrl(),
  DATABASE_URL: postgresUrl(),
  AUTH_URL: httpUrl().default('http://127.0.0.1:4000'),
  PROVIDERS_FILE: z.string().default('providers.yaml'),
  ...accessTokenSettings,
  /** Whose X-Forwarded-* is believed; the load balancer in front of the gateways. */
  TRUST_PROXY: z.string().default(''),
  /** What a provider's missing count means: `blocked` waits out one block, `fresh` starts anew. */
  QUOTA_WHEN_FORGOTTEN: z.enum(['blocked', 'fresh']).default('blocked'),
  /** How long a message waits for Redis before it goes on without a permit. */
  QUOTA_BUDGET_MS: wholeNumber({ min: 1, max: 60_000 }).default(100),
  /** Messages that cannot be recorded: `refuse` them before anything is sent, or `continue` without a record. */
  JOURNAL_DOWN: z.enum(['refuse', 'continue']).default('refuse'),
  /** How long texts and responses are kept; the record of what happened stays. */
  MESSAGE_RETENTION_DAYS: wholeNumber({ min: 1, max: 36_500 }).default(30),
  /** Of one account, at one pod. */
  MESSAGES_PER_SECOND: wholeNumber({ min: 1, max: 1_000_000 }).default(1_000),
  /** Messages in work at one pod; more are answered 503 at once. */
  MAX_IN_FLIGHT: wholeNumber({ min: 1, max: 1_000_000 }).default(5_000),
  ...callbackSettings,
});
export type GatewaySettings = z.infer<typeof gatewaySettings>;
