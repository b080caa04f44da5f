import { sql } from 'drizzle-orm';
import {
  bigint,
  boolean,
  customType,
  doublePrecision,
  index,
  jsonb,
  pgTable,
  primaryKey,
  text,
  timestamp,
  uuid,
} from 'drizzle-orm/pg-core';

const moment = (name: string) => timestamp(name, { withTimezone: true, precision: 3 });

/** UTF-8: a message may hold what Postgres's `text` may not, the character NUL. */
const bytes = customType<{ data: Buffer }>({ dataType: () => 'bytea' });

export const MESSAGE_STATUSES = [
  'waiting',
  'sending',
  'delivered',
  'failed',
  'expired',
  'cancelled',
  'unknown',
] as const;

/**
 * One row a message, with everything that happened to it. Partitioned by month of `id`, a UUID of version 7, which
 * begins with its time (RFC 9562, 5.7): rows are found, and pages made, by id alone.
 */
export const messages = pgTable(
  'messages',
  {
    id: uuid('id').primaryKey(),
    accountId: uuid('account_id').notNull(),
    status: text('status', { enum: MESSAGE_STATUSES }).notNull(),
    /** Null when it is older than `MESSAGE_RETENTION_DAYS`, like the response. */
    text: bytes('text'),
    mayPay: boolean('may_pay').notNull(),
    deliverBy: moment('deliver_by'),
    /**
     * The last safe moment: from here on it is paid for if it may be; if not, it comes before those that have more
     * time. Null for one that does not wait.
     */
    sendBy: moment('send_by'),
    /** Not to be tried before. */
    nextAt: moment('next_at'),
    /** When something must be done about it even if no free quota opens. */
    dueAt: moment('due_at').generatedAlwaysAs(
      sql`case when may_pay or only_provider is not null then greatest(send_by, next_at) else deliver_by end`,
    ),
    /** It may have been delivered by this one: nobody else may be tried before that is known. */
    onlyProvider: text('only_provider'),
    /** Until when the pod that works on it is believed to be alive. */
    claimedUntil: moment('claimed_until'),
    callbackUrl: text('callback_url'),
    idempotencyKey: text('idempotency_key'),
    requestId: text('request_id').notNull(),
    traceparent: text('traceparent').notNull(),
    provider: text('provider'),
    response: bytes('response'),
    costMicros: bigint('cost_micros', { mode: 'number' }).notNull(),
    currency: text('currency').notNull(),
    /** Why it was not delivered: a problem's code and detail. */
    reason: text('reason'),
    detail: text('detail'),
    createdAt: moment('created_at').notNull(),
    finishedAt: moment('finished_at'),
    /** What happened, in order; only ever added to. */
    hops: jsonb('hops').notNull(),
  },
  (table) => [
    index('messages_of_account').on(table.accountId, table.id),
    index('messages_undelivered')
      .on(table.accountId, table.status, table.id)
      .where(sql`status <> 'delivered'`),
    index('messages_waiting')
      .on(table.sendBy, table.id)
      .where(sql`status = 'waiting'`),
    index('messages_due')
      .on(table.dueAt)
      .where(sql`status = 'waiting'`),
    index('messages_claimed')
      .on(table.claimedUntil)
      .where(sql`status = 'sending'`),
  ],
);

/** Which message a caller's key stands for, for 24 hours. */
export const idempotencyKeys = pgTable(
  'idempotency_keys',
  {
    accountId: uuid('account_id').notNull(),
    key: text('key').notNull(),
    /** SHA-256 of the request body as it was understood: another body is another request. */
    fingerprint: text('fingerprint').notNull(),
    messageId: uuid('message_id').notNull(),
    expiresAt: moment('expires_at').notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.accountId, table.key] }),
    index('idempotency_keys_by_expiry').on(table.expiresAt),
  ],
);

/** What each gateway sees of the traffic: how many urgent messages come in a second, of late and usually. */
export const gatewayPods = pgTable('gateway_pods', {
  pod: text('pod').primaryKey(),
  recentPerSecond: doublePrecision('recent_per_second').notNull(),
  usualPerSecond: doublePrecision('usual_per_second').notNull(),
  seenAt: moment('seen_at').notNull(),
});
