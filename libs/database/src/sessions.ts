import { index, pgTable, text, timestamp, uuid } from 'drizzle-orm/pg-core';
import { accounts } from './accounts.js';

const moment = (name: string) => timestamp(name, { withTimezone: true, precision: 3 });

/** One login, with all refresh tokens that descend from it. */
export const sessions = pgTable(
  'sessions',
  {
    id: uuid('id').primaryKey().defaultRandom(),
    accountId: uuid('account_id')
      .notNull()
      .references(() => accounts.id, { onDelete: 'cascade' }),
    /** The `sid` of its access tokens. Replaced when a claim changes: that revokes the tokens but not the session. */
    accessId: uuid('access_id').notNull().unique().defaultRandom(),
    userAgent: text('user_agent'),
    createdAt: moment('created_at').notNull().defaultNow(),
    /** Time of the login or the last refresh. */
    lastUsedAt: moment('last_used_at').notNull().defaultNow(),
    expiresAt: moment('expires_at').notNull(),
    revokedAt: moment('revoked_at'),
  },
  (table) => [index('sessions_of_account').on(table.accountId), index('sessions_by_expiry').on(table.expiresAt)],
);

/** Used tokens stay until their session is deleted: a reuse reveals a theft. */
export const refreshTokens = pgTable(
  'refresh_tokens',
  {
    /** SHA-256 of the token in base64url; the token itself is not stored. */
    hash: text('hash').primaryKey(),
    sessionId: uuid('session_id')
      .notNull()
      .references(() => sessions.id, { onDelete: 'cascade' }),
    /** When it was rotated. Within 10 s of it, a repeat is answered with the newest token of the session. */
    usedAt: moment('used_at'),
    expiresAt: moment('expires_at').notNull(),
  },
  (table) => [index('refresh_tokens_of_session').on(table.sessionId)],
);

/**
 * Recently revoked access ids, kept until every token with them has expired, and ids of API keys that were deleted or
 * whose account changed. Redis publishes them; after Redis was down or lost its data, they are announced again from here.
 */
export const revokedAccess = pgTable(
  'revoked_access',
  {
    accessId: uuid('access_id').primaryKey(),
    expiresAt: moment('expires_at').notNull(),
  },
  (table) => [index('revoked_access_by_expiry').on(table.expiresAt)],
);
