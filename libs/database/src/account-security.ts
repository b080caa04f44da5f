import { bigint, index, pgTable, text, timestamp, uuid } from 'drizzle-orm/pg-core';
import { accounts } from './accounts.js';

const moment = (name: string) => timestamp(name, { withTimezone: true, precision: 3 });

/** At most one live reset token for each account. */
export const passwordResets = pgTable('password_resets', {
  accountId: uuid('account_id')
    .primaryKey()
    .references(() => accounts.id, { onDelete: 'cascade' }),
  /** SHA-256 of the token in base64url; the token itself is not stored. */
  hash: text('hash').notNull().unique(),
  expiresAt: moment('expires_at').notNull(),
});

/** Who did what, from where, with which result. No foreign keys: an event outlives its account. */
export const securityEvents = pgTable(
  'security_events',
  {
    id: bigint('id', { mode: 'bigint' }).primaryKey().generatedAlwaysAsIdentity(),
    at: moment('at').notNull().defaultNow(),
    event: text('event').notNull(),
    result: text('result', { enum: ['ok', 'refused'] }).notNull(),
    actorId: uuid('actor_id'),
    accountId: uuid('account_id'),
    emailHash: text('email_hash'),
    address: text('address'),
    requestId: text('request_id'),
    detail: text('detail'),
  },
  (table) => [
    index('security_events_of_account').on(table.accountId, table.id),
    index('security_events_by_time').on(table.at),
  ],
);
