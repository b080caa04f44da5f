import { Injectable } from '@nestjs/common';
import { and, desc, eq, getTableColumns, inArray, lt, type SQL, sql } from 'drizzle-orm';
import type { MessageList, MessageRecord } from '#contracts';
import { type Database, idempotencyKeys, InjectDatabase, messages } from '#database';
import { cursorAfter, type MessagePage } from './message-page.js';
import { type MessageRow, numberedHopsOf, summaryOf } from './message-record.js';

const { text: _text, response: _response, hops: _hops, ...summaryColumns } = getTableColumns(messages);

/** A message found by its key, and the request that came with the key. */
export interface Keyed {
  fingerprint: string;
  isExpired: boolean;
  row: MessageRow | undefined;
}

/** What an event tells. */
export type Progress = Pick<MessageRecord, 'id' | 'status' | 'provider' | 'reason' | 'costMicros' | 'hops'>;

/** Reads the journal. */
@Injectable()
export class MessageQueries {
  constructor(@InjectDatabase() private readonly db: Database) {}

  /** A message of that account, or undefined. */
  async find(id: string, accountId: string): Promise<MessageRow | undefined> {
    const found = await this.db
      .select()
      .from(messages)
      .where(and(eq(messages.id, id), eq(messages.accountId, accountId)));
    return found[0];
  }

  /** What happened to these, without their texts. */
  async progressOf(ids: string[]): Promise<Progress[]> {
    const { id, status, provider, reason, costMicros, hops } = messages;
    const columns = { id, status, provider, reason, costMicros, hops };
    const rows = await this.db.select(columns).from(messages).where(inArray(messages.id, ids));
    return rows.map((row) => Object.assign(row, { hops: numberedHopsOf(row) }));
  }

  async list(accountId: string, { status, provider, limit, cursor }: MessagePage): Promise<MessageList> {
    const conditions: (SQL | undefined)[] = [
      eq(messages.accountId, accountId),
      status && eq(messages.status, status),
      provider === undefined ? undefined : eq(messages.provider, provider),
      cursor === undefined ? undefined : lt(messages.id, cursor),
    ];
    const rows = await this.db
      .select(summaryColumns)
      .from(messages)
      .where(and(...conditions))
      .orderBy(desc(messages.id))
      .limit(limit + 1);
    const items = rows.slice(0, limit);
    const last = items.at(-1);
    return { items: items.map(summaryOf), nextCursor: rows.length > limit && last ? cursorAfter(last.id) : null };
  }

  async findByKey({ accountId, key }: { accountId: string; key: string }): Promise<Keyed | undefined> {
    const [found] = await this.db
      .select({
        fingerprint: idempotencyKeys.fingerprint,
        isExpired: sql<boolean>`${idempotencyKeys.expiresAt} <= now()`,
        row: messages,
      })
      .from(idempotencyKeys)
      .leftJoin(messages, eq(messages.id, idempotencyKeys.messageId))
      .where(and(eq(idempotencyKeys.accountId, accountId), eq(idempotencyKeys.key, key)));
    return found === undefined ? undefined : { ...found, row: found.row ?? undefined };
  }

  /** Makes a key free for the next request: nothing came of the one that held it. */
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
