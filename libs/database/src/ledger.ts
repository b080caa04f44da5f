import { sql } from 'drizzle-orm';
import { bigint, date, index, pgTable, text, timestamp, uniqueIndex, uuid } from 'drizzle-orm/pg-core';

/**
 * `paid`: a provider delivered the message at this cost. `unconfirmed`: a provider that costs money may have delivered it, at
 * its price. `correction`: takes back an `unconfirmed` entry whose message turned out to be in the ledger already.
 */
export const LEDGER_KINDS = ['paid', 'unconfirmed', 'correction'] as const;

/**
 * What messages cost. Entries are only ever added. Each one is a double entry: it debits the caller's account and credits
 * the provider, so that the sums over accounts, over providers and of the deployment are the same.
 */
export const ledgerEntries = pgTable(
  'ledger_entries',
  {
    id: uuid('id').primaryKey().defaultRandom(),
    /** Without a foreign key: the ledger outlives messages. */
    messageId: uuid('message_id').notNull(),
    kind: text('kind', { enum: LEDGER_KINDS }).notNull(),
    /** Debited. */
    accountId: uuid('account_id').notNull(),
    channel: text('channel').notNull(),
    /** Credited, with the account of the provider that was used. */
    provider: text('provider').notNull(),
    providerAccount: text('provider_account').notNull(),
    /** Negative in a correction. */
    amountMicros: bigint('amount_micros', { mode: 'number' }).notNull(),
    currency: text('currency').notNull(),
    /** In the time zone of the deployment's budgets. */
    day: date('day').notNull(),
    writtenAt: timestamp('written_at', { withTimezone: true, precision: 3 }).notNull().defaultNow(),
  },
  (table) => [
    // A message is paid for once at each provider, however often its record is written.
    uniqueIndex('ledger_entries_once').on(table.messageId, table.kind, table.provider, table.providerAccount),
    index('ledger_entries_of_account').on(table.accountId, table.day),
    index('ledger_entries_by_day').on(table.day),
    index('ledger_entries_unconfirmed')
      .on(table.writtenAt)
      .where(sql`kind = 'unconfirmed'`),
  ],
);
