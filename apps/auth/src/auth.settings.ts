import { z } from 'zod';
import { accessTokenSettings } from '#access-token';
import { commonSettings, flag, httpUrl, port, postgresUrl, redisUrl, wholeNumber } from '#service';
import { privateKeyPem, publicKeyPem } from './key-pem.js';

export const authSettings = z
  .object({
    ...commonSettings,
    ...accessTokenSettings,
    PORT: port(4000),
    DATABASE_URL: postgresUrl(),
    REDIS_URL: redisUrl(),
    /** PEM, PKCS #8, P-256. One of the two; outside production a missing file is created. */
    JWT_PRIVATE_KEY: privateKeyPem().optional(),
    JWT_PRIVATE_KEY_FILE: z.string().optional(),
    /** The key used before, public or private: its tokens stay good, so that changing keys logs nobody out. */
    JWT_PREVIOUS_PUBLIC_KEY: publicKeyPem().optional(),
    JWT_PREVIOUS_PUBLIC_KEY_FILE: z.string().optional(),
    /** Where browsers find the gateway; decides whether cookies are `Secure`. */
    PUBLIC_ORIGIN: httpUrl().default('http://localhost:3000'),
    /** Whose X-Forwarded-For is believed: the gateway's addresses. Rate limits go by the address found there. */
    TRUST_PROXY: z.string().default('127.0.0.1,::1'),
    /** Failed logins for one e-mail address from one network address before it has to wait. */
    LOGIN_ATTEMPTS: wholeNumber({ min: 1, max: 1_000_000 }).default(10),
    LOGIN_WINDOW_MS: wholeNumber({ min: 1_000, max: 86_400_000 }).default(900_000),
    /** From one network address. */
    REGISTRATIONS_PER_HOUR: wholeNumber({ min: 1, max: 1_000_000 }).default(20),
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
