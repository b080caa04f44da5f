import { Injectable } from '@nestjs/common';
import type { Caller } from '#access-token';
import type { DeliveredMessage, SendMessage, WaitingMessage } from '#contracts';
import { ProblemException } from '#service';
import { IdempotencyService } from '../journal/idempotency.service.js';
import { KeyTaken } from '../journal/journal.service.js';
import { fingerprintOf, type Message, newMessage } from '../message.js';
import { SendNowService } from '../delivery/send-now.service.js';
import { AcceptService } from '../waiting/accept.service.js';
import { MessageLimits } from './message-limits.service.js';

/** What a request asks for beside its body. */
export interface SendOptions {
  requestId: string;
  traceparent: string;
  idempotencyKey: string | undefined;
  respondAsync: boolean;
}

export type SendAnswer = DeliveredMessage | WaitingMessage;

@Injectable()
export class SendMessageService {
  constructor(
    private readonly limits: MessageLimits,
    private readonly idempotency: IdempotencyService,
    private readonly now: SendNowService,
    private readonly waiting: AcceptService,
  ) {}

  /**
   * Sends a message by the cheapest provider it may use, or accepts it to be sent later.
   * @throws ProblemException saying why nobody could deliver it
   */
  send(body: SendMessage, caller: Caller, wishes: SendOptions): Promise<SendAnswer> {
    const { idempotencyKey, requestId, traceparent } = wishes;
    const message = newMessage({
      message: body.message,
      deliverBy: body.deliverBy,
      callbackUrl: body.callbackUrl,
      accountId: caller.accountId,
      mayPay: caller.paidAccess && body.paid === 'allowed',
      idempotencyKey,
      fingerprint: idempotencyKey === undefined ? undefined : fingerprintOf(body),
      requestId,
      traceparent,
    });
    return this.limits.admit(message, () => this.sendOnce(message, wishes.respondAsync));
  }

  private async sendOnce(message: Message, respondAsync: boolean): Promise<SendAnswer> {
    if (message.deliverBy !== undefined && message.deliverBy <= message.createdAt) return this.answerLate(message);
    try {
      if (respondAsync) return await this.waiting.accept(message);
      return await (message.deliverBy === undefined ? this.now.send(message) : this.waiting.sendOrWait(message));
    } catch (error) {
      if (error instanceof KeyTaken) return this.idempotency.answerOf(message);
      throw error;
    }
  }

  /** Too late for a new message; who repeats a request that came in time is told what became of it. */
  private async answerLate(message: Message): Promise<SendAnswer> {
    const answer = await this.idempotency.answerIfUsed(message);
    if (answer !== undefined) return answer;
    const errors = [{ pointer: '/deliverBy', detail: 'must be in the future' }];
    throw new ProblemException('invalid_message', '/deliverBy must be in the future', { errors });
  }
}
