import { sql } from 'drizzle-orm';
import { index, integer, pgTable, text, timestamp, uuid } from 'drizzle-orm/pg-core';
import { accounts } from './accounts.js';

const moment = (name: string) => timestamp(name, { withTimezone: true, precision: 3 });

/**
 * Webhooks to send. The statement that finishes a message inserts its row, so that none is lost; a row is pending until
 * it is delivered or given up.
 */
export const callbacks = pgTable(
  'callbacks',
  {
    messageId: uuid('message_id').primaryKey(),
    accountId: uuid('account_id').notNull(),
    url: text('url').notNull(),
    /** The JSON body: every try sends the same bytes. */
    payload: text('payload').notNull(),
    createdAt: moment('created_at').notNull().defaultNow(),
    nextTryAt: moment('next_try_at').notNull().defaultNow(),
    /** Tries that were answered or failed. A try that a shutdown aborted does not count. */
    tries: integer('tries').notNull().default(0),
    /** End of the lease of the process that is sending it; then another process may claim the row. */
    claimedUntil: moment('claimed_until'),
    deliveredAt: moment('delivered_at'),
    gaveUpAt: moment('gave_up_at'),
    /** HTTP status of the last try; null without an answer, and then `lastError` has the reason. */
    lastStatus: integer('last_status'),
    lastError: text('last_error'),
  },
  (table) => [
    index('callbacks_pending')
      .on(table.nextTryAt)
      .where(sql`${table.deliveredAt} is null and ${table.gaveUpAt} is null`),
  ],
);

/** Accounts that have created a secret of their own for their webhooks. The secret derives from the version and a master key. */
export const callbackSecrets = pgTable('callback_secrets', {
  accountId: uuid('account_id')
    .primaryKey()
    .references(() => accounts.id, { onDelete: 'cascade' }),
  version: integer('version').notNull().default(1),
  /** Of this version. */
  createdAt: moment('created_at').notNull().defaultNow(),
});
