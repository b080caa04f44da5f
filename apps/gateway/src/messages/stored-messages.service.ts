import { Injectable } from '@nestjs/common';
import { z } from 'zod';
import type { Caller } from '#access-token';
import type { MessageList, MessageRecord } from '#contracts';
import { ProblemException } from '#service';
import { Claims } from '../journal/claims.service.js';
import type { MessagePage } from '../journal/message-page.js';
import { MessageQueries, type StoredMessage } from '../journal/message-queries.service.js';
import { noteUnsent } from '../metrics/message-metrics.js';
import { listOf, recordOf } from './answers.js';

const idSchema = z.uuid();

/** The caller's own messages in the journal. The messages of other accounts are `not_found`. */
@Injectable()
export class StoredMessages {
  constructor(
    private readonly queries: MessageQueries,
    private readonly claims: Claims,
  ) {}

  async list(page: MessagePage, { accountId }: Caller): Promise<MessageList> {
    return listOf(await this.queries.list(accountId, page));
  }

  async find(id: string, caller: Caller): Promise<MessageRecord> {
    return recordOf(await this.findStored(id, caller));
  }

  /** @throws ProblemException `already_delivered` when the message was, or is being, sent */
  async cancel(id: string, caller: Caller): Promise<void> {
    const { status, channel } = await this.findStored(id, caller);
    if (status === 'cancelled' || status === 'expired' || status === 'failed') return;
    if (status === 'waiting' && (await this.claims.cancel({ id, accountId: caller.accountId }))) {
      noteUnsent(channel, 'cancelled');
      return;
    }
    throw new ProblemException('already_delivered', 'The message was sent, or is being sent right now.');
  }

  private async findStored(id: string, { accountId }: Caller): Promise<StoredMessage> {
    const stored = idSchema.safeParse(id).success ? await this.queries.find(id, accountId) : undefined;
    if (stored === undefined) throw new ProblemException('not_found', 'You have no message with this id.');
    return stored;
  }
}
