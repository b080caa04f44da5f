import { index, pgTable, text, timestamp, uuid } from 'drizzle-orm/pg-core';
import { accounts } from './accounts.js';

const moment = (name: string) => timestamp(name, { withTimezone: true, precision: 3 });

/** One login and all refresh tokens that descend from it. */
export const sessions = pgTable(
  'sessions',
  {
    id: uuid('id').primaryKey().defaultRandom(),
    accountId: uuid('account_id')
      .notNull()
      .references(() => accounts.id, { onDelete: 'cascade' }),
    /** The `sid` of its access tokens. Replaced when they are revoked while the session goes on: a claim changed. */
    accessId: uuid('access_id').notNull().unique().defaultRandom(),
    createdAt: moment('created_at').notNull().defaultNow(),
    expiresAt: moment('expires_at').notNull(),
    revokedAt: moment('revoked_at'),
  },
  (table) => [index('sessions_of_account').on(table.accountId), index('sessions_by_expiry').on(table.expiresAt)],
);

/** Used ones stay until their session is swept: presenting one again gives a theft away. */
export const refreshTokens = pgTable(
  'refresh_tokens',
  {
    /** SHA-256 of the token, base64url; the token itself is stored nowhere. */
    hash: text('hash').primaryKey(),
    sessionId: uuid('session_id')
      .notNull()
      .references(() => sessions.id, { onDelete: 'cascade' }),
    usedAt: moment('used_at'),
    expiresAt: moment('expires_at').notNull(),
  },
  (table) => [index('refresh_tokens_of_session').on(table.sessionId)],
);

/**
 * Access ids revoked lately, kept until the last token that carries them has expired. Redis tells every process; this
 * is what it is told from again after it was down or lost its memory.
 */
export const revokedAccess = pgTable(
  'revoked_access',
  {
    accessId: uuid('access_id').primaryKey(),
    expiresAt: moment('expires_at').notNull(),
  },
  (table) => [index('revoked_access_by_expiry').on(table.expiresAt)],
);
