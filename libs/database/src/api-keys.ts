import { index, pgTable, text, timestamp, uuid } from 'drizzle-orm/pg-core';
import { accounts } from './accounts.js';

const moment = (name: string) => timestamp(name, { withTimezone: true, precision: 3 });

/** API keys of accounts. A deleted key has no row. */
export const apiKeys = pgTable(
  'api_keys',
  {
    id: uuid('id').primaryKey().defaultRandom(),
    accountId: uuid('account_id')
      .notNull()
      .references(() => accounts.id, { onDelete: 'cascade' }),
    name: text('name').notNull(),
    /** SHA-256 of the key in base64url; the key itself is not stored. */
    hash: text('hash').notNull().unique(),
    /** The first characters of the key, for its owner. */
    prefix: text('prefix').notNull(),
    createdAt: moment('created_at').notNull().defaultNow(),
    /** Null: never. */
    expiresAt: moment('expires_at'),
    /** Written at most once a minute. */
    lastUsedAt: moment('last_used_at'),
  },
  (table) => [index('api_keys_of_account').on(table.accountId)],
);
