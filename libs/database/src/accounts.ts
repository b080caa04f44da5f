import { sql } from 'drizzle-orm';
import { bigint, boolean, check, index, integer, pgTable, smallint, text, timestamp, uuid } from 'drizzle-orm/pg-core';

export const accounts = pgTable(
  'accounts',
  {
    id: uuid('id').primaryKey().defaultRandom(),
    /** In lower case: addresses are compared without case. */
    email: text('email').notNull().unique(),
    /** PHC string: algorithm, parameters, salt and hash. */
    passwordHash: text('password_hash').notNull(),
    paidAccess: boolean('paid_access').notNull().default(false),
    role: text('role', { enum: ['user', 'admin'] })
      .notNull()
      .default('user'),
    disabled: boolean('disabled').notNull().default(false),
    /** What the account may spend in a day and in a month; null: no limit. */
    budgetDayMicros: bigint('budget_day_micros', { mode: 'number' }),
    budgetMonthMicros: bigint('budget_month_micros', { mode: 'number' }),
    /** Index in `PRIORITIES` of the contract: an account of higher priority gets twice as many turns when messages wait. */
    priority: smallint('priority').notNull().default(1),
    /** How much of a free quota it may use: `all`, `equal`, or a number of requests in each window. */
    freeShare: text('free_share').notNull().default('all'),
    /** Base32; set up, but needed at logins only once it is confirmed. */
    totpSecret: text('totp_secret'),
    /** The 30 s step of the last code that was accepted: each code works once. Null until it is confirmed. */
    totpLastStep: integer('totp_last_step'),
    // Milliseconds, like a JavaScript Date: a page cursor made from it must find the same row again.
    createdAt: timestamp('created_at', { withTimezone: true, precision: 3 }).notNull().defaultNow(),
  },
  (table) => [
    check('accounts_email_lower_case', sql`${table.email} = lower(${table.email})`),
    check('accounts_free_share', sql`${table.freeShare} ~ '^(all|equal|[0-9]{1,9})$'`),
    index('accounts_by_creation').on(table.createdAt, table.id),
    index('accounts_with_share')
      .on(table.id)
      .where(sql`free_share <> 'all'`),
  ],
);
