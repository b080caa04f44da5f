import { sql } from 'drizzle-orm';
import { index, integer, pgTable, text, timestamp, uuid } from 'drizzle-orm/pg-core';

const moment = (name: string) => timestamp(name, { withTimezone: true, precision: 3 });

/**
 * Who wants to be told that a message has finished. A row is inserted by the statement that finishes the message, so
 * that none is forgotten; it is pending until it is delivered or given up.
 */
export const callbacks = pgTable(
  'callbacks',
  {
    messageId: uuid('message_id').primaryKey(),
    accountId: uuid('account_id').notNull(),
    url: text('url').notNull(),
    /** The JSON body as it is sent: every try carries the same bytes. */
    payload: text('payload').notNull(),
    createdAt: moment('created_at').notNull().defaultNow(),
    nextTryAt: moment('next_try_at').notNull().defaultNow(),
    /** Tries that were answered or failed; one that was broken off by a shutdown does not count. */
    tries: integer('tries').notNull().default(0),
    /** A process is at it. If it dies, others may take the row from then on. */
    claimedUntil: moment('claimed_until'),
    deliveredAt: moment('delivered_at'),
    gaveUpAt: moment('gave_up_at'),
    /** Of the last try; null when there was no answer, and then `lastError` says why. */
    lastStatus: integer('last_status'),
    lastError: text('last_error'),
  },
  (table) => [
    index('callbacks_pending')
      .on(table.nextTryAt)
      .where(sql`${table.deliveredAt} is null and ${table.gaveUpAt} is null`),
  ],
);
