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
  smallint,
  text,
  timestamp,
  uuid,
} from 'drizzle-orm/pg-core';

const moment = (name: string) => timestamp(name, { withTimezone: true, precision: 3 });

/** UTF-8 in `bytea`: a message may contain NUL, which Postgres's `text` cannot hold. */
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

/** Trace id of a message: the second field of its `traceparent`. An index has this expression, to the letter. */
export const TRACE_ID = sql`substr(traceparent, 4, 32)`;

/**
 * One row per message, with everything that happened to it. Partitioned by month of `id`, a version 7 UUID, which starts
 * with its time (RFC 9562, 5.7): lookups and pages need the id only.
 */
export const messages = pgTable(
  'messages',
  {
    id: uuid('id').primaryKey(),
    accountId: uuid('account_id').notNull(),
    status: text('status', { enum: MESSAGE_STATUSES }).notNull(),
    /** Null after `MESSAGE_RETENTION_DAYS`, like the response. */
    text: bytes('text'),
    /** The text is JSON: the channel has a schema. */
    isJson: boolean('is_json').notNull().default(false),
    channel: text('channel').notNull().default('default'),
    mayPay: boolean('may_pay').notNull(),
    /** Index in `PRIORITIES` of the contract: 0 goes first. */
    priority: smallint('priority').notNull().default(1),
    deliverBy: moment('deliver_by'),
    /**
     * Last safe moment to send. From then on the message uses paid providers if it may; if it may not, it goes before
     * messages that have more time. Null if the message does not wait.
     */
    sendBy: moment('send_by'),
    /** Earliest time of the next attempt. */
    nextAt: moment('next_at'),
    /** When the message needs an action even if no free quota opens. */
    dueAt: moment('due_at').generatedAlwaysAs(
      sql`case when may_pay or only_provider is not null then greatest(send_by, next_at) else deliver_by end`,
    ),
    /** This provider may have delivered the message: no other may be tried until that is known. */
    onlyProvider: text('only_provider'),
    /** End of the lease of the pod that is sending the message. */
    claimedUntil: moment('claimed_until'),
    callbackUrl: text('callback_url'),
    idempotencyKey: text('idempotency_key'),
    requestId: text('request_id').notNull(),
    traceparent: text('traceparent').notNull(),
    provider: text('provider'),
    /** The account of the provider whose quota was used; null in rows of earlier releases. */
    account: text('account'),
    response: bytes('response'),
    /** The response is JSON, not text. */
    responseIsJson: boolean('response_is_json').notNull().default(false),
    costMicros: bigint('cost_micros', { mode: 'number' }).notNull(),
    currency: text('currency').notNull(),
    /** Code and detail of the problem, if the message was not delivered. */
    reason: text('reason'),
    detail: text('detail'),
    createdAt: moment('created_at').notNull(),
    finishedAt: moment('finished_at'),
    /** The latest write, by the clock of Postgres; null in rows of earlier releases. */
    writtenAt: moment('written_at').defaultNow(),
    /** What happened, in order; append-only. */
    hops: jsonb('hops').notNull(),
  },
  (table) => [
    index('messages_of_account').on(table.accountId, table.id),
    index('messages_of_trace').on(TRACE_ID, table.accountId, table.id),
    index('messages_undelivered')
      .on(table.accountId, table.status, table.id)
      .where(sql`status <> 'delivered'`),
    index('messages_waiting')
      .on(table.sendBy, table.id)
      .where(sql`status = 'waiting'`),
    index('messages_waiting_of_account')
      .on(table.accountId, table.priority, table.sendBy, table.id)
      .where(sql`status = 'waiting'`),
    index('messages_due')
      .on(table.dueAt)
      .where(sql`status = 'waiting'`),
    index('messages_claimed')
      .on(table.claimedUntil)
      .where(sql`status = 'sending'`),
  ],
);

/** The message of each idempotency key, kept for 24 hours. */
export const idempotencyKeys = pgTable(
  'idempotency_keys',
  {
    accountId: uuid('account_id').notNull(),
    key: text('key').notNull(),
    /** SHA-256 of the parsed request body: a request with another body is another request. */
    fingerprint: text('fingerprint').notNull(),
    messageId: uuid('message_id').notNull(),
    expiresAt: moment('expires_at').notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.accountId, table.key] }),
    index('idempotency_keys_by_expiry').on(table.expiresAt),
  ],
);

/** Which account's waiting message goes next, see `turns.ts` of the gateway. Only of accounts that had to share slots. */
export const accountTurns = pgTable(
  'account_turns',
  {
    /** The provider account whose slots they share. */
    quota: text('quota').notNull(),
    accountId: uuid('account_id').notNull(),
    /** When the account's next message starts, in turns. */
    turn: doublePrecision('turn').notNull(),
    /** The lowest turn of the accounts that waited when it was last served. */
    served: doublePrecision('served').notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.quota, table.accountId] }),
    index('account_turns_served').on(table.quota, table.served),
  ],
);

/** Urgent messages per second that each gateway pod receives, recently and usually. */
export const gatewayPods = pgTable('gateway_pods', {
  pod: text('pod').primaryKey(),
  recentPerSecond: doublePrecision('recent_per_second').notNull(),
  usualPerSecond: doublePrecision('usual_per_second').notNull(),
  seenAt: moment('seen_at').notNull(),
});
