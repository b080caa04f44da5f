import { z } from 'zod';
import { accessTokenSettings } from '#access-token';
import { BUDGET_MAX_MICROS } from '#contracts';
import { isTimeZone } from '#quota';
import { commonSettings, httpUrl, port, postgresUrl, publicOrigin, redisUrl, wholeNumber } from '#service';
import { callbackSettings } from './callbacks/callback-settings.js';

const budgetMicros = () => wholeNumber({ min: 0, max: BUDGET_MAX_MICROS });

/** Injection token of the parsed settings. */
export const SETTINGS = Symbol('SETTINGS');

export const gatewaySettings = z
  .object({
    ...commonSettings,
    PORT: port(3000),
    REDIS_URL: redisUrl(),
    DATABASE_URL: postgresUrl(),
    AUTH_URL: httpUrl().default('http://127.0.0.1:4000'),
    PUBLIC_ORIGIN: publicOrigin(),
    PROVIDERS_FILE: z.string().default('providers.yaml'),
    ...accessTokenSettings,
    /** Peers whose X-Forwarded-* headers are trusted: the load balancer in front of the gateways. */
    TRUST_PROXY: z.string().default(''),
    /** What a missing count of a known provider means: `blocked` waits for one block, `fresh` starts a new window. */
    QUOTA_WHEN_FORGOTTEN: z.enum(['blocked', 'fresh']).default('blocked'),
    /** How long a message waits for a permit from Redis before it goes on without one. */
    QUOTA_BUDGET_MS: wholeNumber({ min: 1, max: 60_000 }).default(100),
    /** Once Postgres is known to be down: `refuse` messages before anything is sent, or `continue` and record them later. */
    JOURNAL_DOWN: z.enum(['refuse', 'continue']).default('refuse'),
    /** How long texts and responses are kept. The record of what happened stays. */
    MESSAGE_RETENTION_DAYS: wholeNumber({ min: 1, max: 36_500 }).default(30),
    /** Messages an account may send to one pod in a second. */
    MESSAGES_PER_SECOND: wholeNumber({ min: 1, max: 1_000_000 }).default(1_000),
    /** Messages in flight at one pod; more are answered 503 at once. */
    MAX_IN_FLIGHT: wholeNumber({ min: 1, max: 1_000_000 }).default(5_000),
    /** Messages of one account that may wait, and the bytes of their texts. */
    WAITING_MESSAGES_MAX: wholeNumber({ min: 1, max: 1_000_000 }).default(1_000),
    WAITING_BYTES_MAX: wholeNumber({ min: 1, max: 1_000_000_000 }).default(16_777_216),
    /** Most that the deployment may spend in a calendar day and month, in millionths of the currency. */
    BUDGET_DAY_MICROS: budgetMicros().optional(),
    BUDGET_MONTH_MICROS: budgetMicros().optional(),
    /** In which the days and months of all budgets begin. */
    BUDGET_TIME_ZONE: z.string().refine(isTimeZone, 'must be a time zone such as Europe/Madrid').default('UTC'),
    /** Most that a pod may spend on accounts with a budget while Redis does not answer. */
    BUDGET_UNCOUNTED_MICROS: budgetMicros().default(0),
    ...callbackSettings,
  })
  .refine(
    ({ CALLBACK_SECRETS, CALLBACK_MASTER_SECRETS }) =>
      !CALLBACK_MASTER_SECRETS.some((master) => CALLBACK_SECRETS.some((secret) => secret.equals(master))),
    { path: ['CALLBACK_MASTER_SECRETS'], error: 'must not be one of CALLBACK_SECRETS, which receivers know' },
  );
export type GatewaySettings = z.infer<typeof gatewaySettings>;
