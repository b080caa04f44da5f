import { Injectable } from '@nestjs/common';
import { z } from 'zod';
import type { Caller } from '#access-token';
import type { MessageList, MessageRecord } from '#contracts';
import { ProblemException } from '#service';
import type { MessagePage } from '../journal/message-page.js';
import { MessageQueries } from '../journal/message-queries.service.js';
import { type MessageRow, recordOf } from '../journal/message-record.js';
import { Claims } from '../journal/claims.service.js';

const idSchema = z.uuid();

/** A caller's messages in the journal. Those of others do not exist. */
@Injectable()
export class StoredMessages {
  constructor(
    private readonly queries: MessageQueries,
    private readonly claims: Claims,
  ) {}

  list(page: MessagePage, { accountId }: Caller): Promise<MessageList> {
    return this.queries.list(accountId, page);
  }

  async find(id: string, caller: Caller): Promise<MessageRecord> {
    return recordOf(await this.rowOf(id, caller));
  }

  /** @throws ProblemException `already_delivered` when it may have been, or is being, sent */
  async cancel(id: string, caller: Caller): Promise<void> {
    const { status } = await this.rowOf(id, caller);
    if (status === 'cancelled' || status === 'expired' || status === 'failed') return;
    if (status === 'waiting' && (await this.claims.cancel({ id, accountId: caller.accountId }))) return;
    throw new ProblemException('already_delivered', 'It was sent, or is being sent right now.');
  }

  private async rowOf(id: string, { accountId }: Caller): Promise<MessageRow> {
    const row = idSchema.safeParse(id).success ? await this.queries.find(id, accountId) : undefined;
    if (row === undefined) throw new ProblemException('not_found', 'You have no message with this id.');
    return row;
  }
}
