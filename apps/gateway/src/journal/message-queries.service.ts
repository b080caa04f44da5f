import { Injectable } from '@nestjs/common';
import { and, desc, eq, getTableColumns, inArray, lt, type SQL, sql } from 'drizzle-orm';
import { z } from 'zod';
import { hopSchema } from '#contracts';
import { type Database, firstIdOf, idempotencyKeys, InjectDatabase, messages, TRACE_ID } from '#database';
import type { Message } from '../message.js';
import type { MessagePage } from './message-page.js';

/** A message as the journal has it. */
export type StoredMessage = typeof messages.$inferSelect;
/** The same without text, response and hops, which lists leave out. */
export type StoredSummary = Omit<StoredMessage, 'text' | 'response' | 'hops'>;
/** What changes while a message is delivered. */
export type StoredProgress = Pick<StoredMessage, 'id' | 'status' | 'provider' | 'reason' | 'costMicros' | 'hops'>;

const hopsSchema = z.array(hopSchema);
const waitingSchema = z.tuple([z.object({ count: z.int(), bytes: z.number() })]);
const allWaitingSchema = z.tuple([z.object({ count: z.int(), age: z.number() })]);

export function hopsOf({ hops }: Pick<StoredMessage, 'hops'>): Message['hops'] {
  return hopsSchema.parse(hops);
}

/** A stored text or response: what it was before it was written. */
export function contentOf(text: Buffer, isJson: boolean): unknown {
  const content = text.toString('utf8');
  return isJson ? (JSON.parse(content) as unknown) : content;
}

const { text: _text, response: _response, hops: _hops, ...summaryColumns } = getTableColumns(messages);

/** A message found by its idempotency key, and the fingerprint of the request that came with the key. */
export interface KeyedMessage {
  fingerprint: string;
  isExpired: boolean;
  stored: StoredMessage | undefined;
}

const deliveredCountSchema = z.object({
  key: z.string(),
  channel: z.string(),
  free: z.coerce.number(),
  paid: z.coerce.number(),
  cost_micros: z.coerce.number(),
});

export interface DeliveredCount {
  /** The day, provider or channel; empty if not grouped. */
  key: string;
  channel: string;
  free: number;
  paid: number;
  costMicros: number;
}

/** Reads the journal. */
@Injectable()
export class MessageQueries {
  constructor(@InjectDatabase() private readonly db: Database) {}

  /** A message of an account, or undefined. */
  async find(id: string, accountId: string): Promise<StoredMessage | undefined> {
    const found = await this.db
      .select()
      .from(messages)
      .where(and(eq(messages.id, id), eq(messages.accountId, accountId)));
    return found[0];
  }

  async progressOf(ids: string[]): Promise<StoredProgress[]> {
    const { id, status, provider, reason, costMicros, hops } = messages;
    const columns = { id, status, provider, reason, costMicros, hops };
    return this.db.select(columns).from(messages).where(inArray(messages.id, ids));
  }

  /** A page of an account's messages, newest first. `hasMore` says whether there is a next page. */
  async list(
    accountId: string,
    { status, provider, channel, traceId, idempotencyKey, limit, cursor }: MessagePage,
  ): Promise<{ items: StoredSummary[]; hasMore: boolean }> {
    const conditions: (SQL | undefined)[] = [
      eq(messages.accountId, accountId),
      status && eq(messages.status, status),
      provider === undefined ? undefined : eq(messages.provider, provider),
      channel === undefined ? undefined : eq(messages.channel, channel),
      traceId === undefined ? undefined : sql`${TRACE_ID} = ${traceId}`,
      idempotencyKey === undefined ? undefined : inArray(messages.id, this.holderOf(accountId, idempotencyKey)),
      cursor === undefined ? undefined : lt(messages.id, cursor),
    ];
    const rows = await this.db
      .select(summaryColumns)
      .from(messages)
      .where(and(...conditions))
      .orderBy(desc(messages.id))
      .limit(limit + 1);
    return { items: rows.slice(0, limit), hasMore: rows.length > limit };
  }

  private holderOf(accountId: string, key: string) {
    const isOfKey = and(eq(idempotencyKeys.accountId, accountId), eq(idempotencyKeys.key, key));
    return this.db.select({ id: idempotencyKeys.messageId }).from(idempotencyKeys).where(isOfKey);
  }

  /** How many messages of an account wait, and the bytes of their texts; counts no more than `max` messages. */
  async waitingOf(accountId: string, max: number): Promise<{ count: number; bytes: number }> {
    const { rows } = await this.db.execute(sql`
      select count(*)::int as count, coalesce(sum(octet_length(text)), 0)::float8 as bytes from (
        select text from messages where account_id = ${accountId} and status = 'waiting' limit ${max}) w`);
    return waitingSchema.parse(rows)[0];
  }

  /** How many messages of all accounts wait, at most 10,000, and the age of the oldest of those. */
  async allWaiting(): Promise<{ count: number; oldestAgeSeconds: number }> {
    const { rows } = await this.db.execute(sql`
      select count(*)::int as count, coalesce(extract(epoch from now() - min(created_at)), 0)::float8 as age
      from (select created_at from messages where status = 'waiting' limit 10000) w`);
    const [{ count, age }] = allWaitingSchema.parse(rows);
    return { count, oldestAgeSeconds: Math.max(0, age) };
  }

  /** Delivered messages that were accepted in a range of time, and their cost; grouped by channel, and by `by`. */
  async countDelivered({
    accountId,
    from,
    to,
    by,
    timeZone,
  }: {
    /** Undefined: of all accounts. */
    accountId: string | undefined;
    from: Date;
    /** Not included. */
    to: Date;
    by: 'day' | 'provider' | 'channel' | undefined;
    timeZone: string;
  }): Promise<DeliveredCount[]> {
    const keys = {
      day: sql`to_char(created_at at time zone ${timeZone}, 'YYYY-MM-DD')`,
      provider: sql`provider`,
      channel: sql`channel`,
    };
    const ofAccount = accountId === undefined ? sql`true` : sql`account_id = ${accountId}`;
    const { rows } = await this.db.execute(sql`
      select ${by === undefined ? sql`''` : keys[by]} as key, channel,
        count(*) filter (where cost_micros = 0) as free, count(*) filter (where cost_micros > 0) as paid,
        sum(cost_micros) as cost_micros
      from messages
      where ${ofAccount} and id >= ${firstIdOf(from)} and id < ${firstIdOf(to)} and status = 'delivered'
      group by 1, 2 order by 1, 2`);
    return z
      .array(deliveredCountSchema)
      .parse(rows)
      .map(({ key, channel, free, paid, cost_micros: costMicros }) => ({ key, channel, free, paid, costMicros }));
  }

  async findByKey({ accountId, key }: { accountId: string; key: string }): Promise<KeyedMessage | undefined> {
    const [found] = await this.db
      .select({
        fingerprint: idempotencyKeys.fingerprint,
        isExpired: sql<boolean>`${idempotencyKeys.expiresAt} <= now()`,
        stored: messages,
      })
      .from(idempotencyKeys)
      .leftJoin(messages, eq(messages.id, idempotencyKeys.messageId))
      .where(and(eq(idempotencyKeys.accountId, accountId), eq(idempotencyKeys.key, key)));
    return found === undefined ? undefined : { ...found, stored: found.stored ?? undefined };
  }

  /** Frees the key that a message holds. */
  async releaseKey({ accountId, key, id }: { accountId: string; key: string; id: string }): Promise<void> {
    const isOfKey = and(eq(idempotencyKeys.accountId, accountId), eq(idempotencyKeys.key, key));
    await this.db.delete(idempotencyKeys).where(and(isOfKey, eq(idempotencyKeys.messageId, id)));
  }

  async releaseExpiredKey({ accountId, key }: { accountId: string; key: string }): Promise<void> {
    await this.db
      .delete(idempotencyKeys)
      .where(
        and(
          eq(idempotencyKeys.accountId, accountId),
          eq(idempotencyKeys.key, key),
          sql`${idempotencyKeys.expiresAt} <= now()`,
        ),
      );
  }
}
