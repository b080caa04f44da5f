import { Inject } from '@nestjs/common';
import { z } from 'zod';
import { accessTokenSettings, signingKeySettings } from '#access-token';
import { signingSecrets } from '#callback-secrets';
import { commonSettings, flag, port, postgresUrl, publicOrigin, redisUrl, wholeNumber } from '#service';

export const authSettings = z
  .object({
    ...commonSettings,
    ...accessTokenSettings,
    ...signingKeySettings,
    PORT: port(4000),
    DATABASE_URL: postgresUrl(),
    REDIS_URL: redisUrl(),
    /** `DATABASE_URL` of the gateways, if they have a role of their own: auth creates that role and grants its rights. */
    GATEWAY_DATABASE_URL: postgresUrl()
      .refine((url) => /\/\/[^/@:]+(:[^/@]*)?@/.test(url), 'must name the role of the gateways')
      .optional(),
    /** Decides whether cookies are `Secure`. */
    PUBLIC_ORIGIN: publicOrigin(),
    /** Proxies whose X-Forwarded-For is trusted: the gateways. Rate limits count by the address in it. */
    TRUST_PROXY: z.string().default('127.0.0.1,::1'),
    /**
     * Failed logins in a window for one e-mail address from one network: an IPv4 address or an IPv6 /64. A device that
     * has logged in before has as many of its own.
     */
    LOGIN_ATTEMPTS: wholeNumber({ min: 1, max: 1_000_000 }).default(10),
    LOGIN_WINDOW_MS: wholeNumber({ min: 1_000, max: 86_400_000 }).default(900_000),
    /** For one e-mail address from all networks; devices that have logged in before are exempt. */
    LOGIN_FAILURES_PER_HOUR: wholeNumber({ min: 1, max: 1_000_000 }).default(100),
    /** `closed`: only the admin command creates accounts. */
    REGISTRATION: z.enum(['open', 'closed']).default('open'),
    /** Per network. */
    REGISTRATIONS_PER_HOUR: wholeNumber({ min: 1, max: 1_000_000 }).default(20),
    /** Longest lifetime of a session; without a refresh it ends after 30 days. */
    SESSION_MAX_DAYS: wholeNumber({ min: 1, max: 3_650 }).default(90),
    /** How long the security log is kept. */
    SECURITY_LOG_DAYS: wholeNumber({ min: 1, max: 3_650 }).default(365),
    /** Master keys, the same as those of the gateways: new secrets of accounts derive from the first. */
    CALLBACK_MASTER_SECRETS: signingSecrets(),
    /** Ignored in production. */
    SEED_DEMO_ACCOUNTS: flag(true),
  })
  .refine((given) => given.NODE_ENV !== 'production' || given.JWT_PRIVATE_KEY || given.JWT_PRIVATE_KEY_FILE, {
    path: ['JWT_PRIVATE_KEY'],
    error: 'in production, or JWT_PRIVATE_KEY_FILE',
    // Without this Zod skips the rule while another variable is bad, and a start would name one at a time.
    when: () => true,
  });

export type AuthSettings = z.infer<typeof authSettings>;

export const AUTH_SETTINGS = Symbol('settings of auth');

/** Constructor parameter decorator: the settings of the app. */
export const InjectSettings = (): ParameterDecorator => Inject(AUTH_SETTINGS);
