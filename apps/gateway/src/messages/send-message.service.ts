import { Injectable } from '@nestjs/common';
import { z } from 'zod';
import type { Caller } from '#access-token';
import {
  contentSchema,
  type DeliveredMessage,
  type SendMessage,
  sendMessageSchema,
  type WaitingMessage,
} from '#contracts';
import { parse, ProblemException } from '#service';
import { type Delivery, DeliveryService } from '../delivery/delivery.service.js';
import { fingerprintOf, IdempotencyService } from '../journal/idempotency.service.js';
import { Journal } from '../journal/journal.service.js';
import {
  attemptsOf,
  type Change,
  markDelivered,
  markUndelivered,
  type Message,
  newMessage,
  resolveWith,
  wasSent,
} from '../message.js';
import { noteDelivered, noteError, noteReceived } from '../metrics/message-metrics.js';
import type { Provider } from '../providers/providers-file.js';
import { isFree } from '../routing/choose-route.js';
import { WaitingMessages } from '../waiting/waiting-messages.service.js';
import { deliveredAnswer, inProgress, repeatedAnswer, waitingAnswer } from './answers.js';
import { MessageLimits } from './message-limits.service.js';
import {
  cannotBeRecorded,
  deadlineHasPassed,
  keyReused,
  messageRejected,
  notRecordedYet,
  paidAccessRequired,
  refuseInvalid,
  takenOver,
  undelivered,
  unknownChannel,
} from './problems.js';
import type { SendOptions } from './send-options.js';

export type SendAnswer = DeliveredMessage | WaitingMessage;

/** What is needed of a body with bad fields to check its message as well. */
const namedContentSchema = z.object({ message: contentSchema, channel: z.string().optional() });

/** `keyTaken`: an earlier request used the idempotency key, and nothing was sent. */
type SendResult = Delivery | { outcome: 'keyTaken' };

/** The story of `POST /messages`: limits, route, permit, send, settle, record, answer. */
@Injectable()
export class SendMessageService {
  constructor(
    private readonly limits: MessageLimits,
    private readonly delivery: DeliveryService,
    private readonly journal: Journal,
    private readonly idempotency: IdempotencyService,
    private readonly waiting: WaitingMessages,
  ) {}

  /**
   * Sends a message by the cheapest provider it may use, or accepts it to be sent later.
   * @throws ProblemException saying why no provider delivered it
   */
  async send(json: unknown, caller: Caller, options: SendOptions): Promise<SendAnswer> {
    const startedMs = performance.now();
    const { idempotencyKey, requestId, traceparent } = options;
    const body = this.parse(json);
    const channel = this.delivery.channelNamed(body.channel);
    if (channel === undefined) throw unknownChannel(body.channel);
    refuseInvalid(channel.errorsOf(body.message));
    const message = newMessage({
      channel: channel.name,
      message: body.message,
      deliverBy: body.deliverBy,
      callbackUrl: body.callbackUrl,
      accountId: caller.accountId,
      mayPay: caller.paidAccess && body.paid === 'allowed',
      priority: body.priority,
      idempotencyKey,
      fingerprint: idempotencyKey === undefined ? undefined : fingerprintOf(body),
      requestId,
      traceparent,
    });
    noteReceived(message);
    try {
      const answer = await this.limits.admit(message, () => this.sendOrAccept(message, options));
      // A repeated request gets the answer of another message.
      if (answer.status === 'delivered' && answer.id === message.id) {
        noteDelivered(message, performance.now() - startedMs);
      }
      return answer;
    } catch (error) {
      noteError(message, error);
      throw error;
    }
  }

  /** @throws ProblemException with every bad field, those of the message included */
  private parse(json: unknown): SendMessage {
    try {
      return parse(json, { schema: sendMessageSchema, code: 'invalid_message' });
    } catch (error) {
      const found = namedContentSchema.safeParse(json);
      if (!(error instanceof ProblemException) || !found.success) throw error;
      const { message, channel } = found.data;
      const contentErrors = this.delivery.channelNamed(channel)?.errorsOf(message) ?? [];
      if (contentErrors.length === 0) throw error;
      refuseInvalid([...(error.extra.errors ?? []), ...contentErrors]);
      throw error;
    }
  }

  private async sendOrAccept(message: Message, { respondAsync }: SendOptions): Promise<SendAnswer> {
    const { deliverBy, createdAt } = message;
    // A repeated request may come after its deadline: it gets the first answer.
    if (deliverBy !== undefined && deliverBy <= createdAt) return this.repeatAnswer(message, deadlineHasPassed);
    if (respondAsync) return this.accept(message);
    if (deliverBy !== undefined) return this.sendOrWait(message);
    const result = await this.deliver(message, this.delivery.routeOf(message));
    return this.conclude(message, result);
  }

  /** Free at once, free when quota opens in time, or paid for. */
  private async sendOrWait(message: Message): Promise<SendAnswer> {
    const route = this.delivery.routeOf(message);
    message.sendBy = this.waiting.lastSafeMoment(message);
    const isDue = message.mayPay && message.sendBy.getTime() <= Date.now();
    if (isDue) return this.conclude(message, await this.deliver(message, route));
    if (!this.waiting.isIdle(message) && this.waiting.comesInTime(message)) return this.accept(message);
    const free = await this.deliver(message, route.filter(isFree));
    if (free.outcome !== 'undelivered') return this.conclude(message, free);
    const canWait = free.silentProvider === undefined && this.waiting.comesInTime(message);
    if (canWait && this.canRecord({ mustBeOnDisk: true })) return this.accept(message);
    const paid = await this.deliver(
      message,
      route.filter((provider) => !isFree(provider)),
    );
    if (paid.outcome !== 'undelivered') return this.conclude(message, paid);
    const denials = [...free.denials, ...paid.denials];
    return this.conclude(message, { ...paid, denials, silentProvider: paid.silentProvider ?? free.silentProvider });
  }

  /** A message with an idempotency key is on disk before anything is sent, one without when it has ended. */
  private async deliver(message: Message, route: readonly Provider[]): Promise<SendResult> {
    const hasKey = message.idempotencyKey !== undefined;
    if (!this.canRecord({ mustBeOnDisk: hasKey })) throw cannotBeRecorded(message);
    if (!hasKey) return this.delivery.deliver(message, route);
    const sending = this.delivery.claim();
    if (message.hopsOnDisk === 0 && !(await this.journal.insert(message, sending))) return { outcome: 'keyTaken' };
    return this.delivery.deliver(message, route, () => this.journal.change(message, sending));
  }

  /** Records the end of a message and answers its caller. */
  private async conclude(message: Message, result: SendResult): Promise<SendAnswer> {
    if (result.outcome === 'keyTaken') return this.repeatAnswer(message, inProgress);
    if (result.outcome === 'takenOver') throw takenOver(message);
    if (result.outcome === 'undelivered') {
      const problem = undelivered(message, result.denials, Date.now());
      await this.recordUndelivered(message, problem, result.silentProvider);
      throw problem;
    }
    if (result.outcome === 'rejected') {
      const problem = messageRejected(message, result.detail);
      await this.recordUndelivered(message, problem, undefined);
      throw problem;
    }
    const { provider, response, costMicros } = result;
    const recorded = await this.journal.record(message, markDelivered(message, result));
    if (recorded === 'late') throw notRecordedYet();
    const { name, account, currency } = provider;
    return deliveredAnswer(message, { provider: name, account, response, costMicros, currency });
  }

  private async recordUndelivered(
    message: Message,
    problem: ProblemException,
    silentProvider: Provider | undefined,
  ): Promise<void> {
    // No provider was tried: without a row on disk there is nothing to record.
    if (message.hopsOnDisk === 0 && attemptsOf(message.hops).length === 0) return;
    await this.journal.record(message, changeAfter(message, problem, silentProvider));
    // The caller may send again with the same key.
    if (!wasSent(message.hops)) await this.journal.retryUntilRecorded(() => this.idempotency.release(message));
  }

  /** On disk when this returns, and sent later: when free quota opens in time, or at the last safe moment. */
  private async accept(message: Message): Promise<SendAnswer> {
    if (this.delivery.routeOf(message).length === 0) throw paidAccessRequired();
    if (!this.canRecord({ mustBeOnDisk: true })) throw cannotBeRecorded(message);
    await this.limits.admitWaiting(message);
    const accepted = await this.waiting.accept(message);
    if (accepted.outcome === 'keyTaken') return this.repeatAnswer(message, inProgress);
    if (accepted.outcome === 'takenOver') throw takenOver(message);
    return waitingAnswer({ id: message.id, deliverBy: accepted.deliverBy }, message.hops);
  }

  private canRecord({ mustBeOnDisk }: { mustBeOnDisk: boolean }): boolean {
    return this.journal.canRecord({ mustBeOnDisk, inFlight: this.limits.messagesInFlight });
  }

  /** The answer that the earlier request with this key got. */
  private async repeatAnswer(message: Message, whenNone: () => ProblemException): Promise<SendAnswer> {
    const earlier = await this.idempotency.earlierRequest(message);
    if (earlier.state === 'known') return repeatedAnswer(earlier.stored);
    if (earlier.state === 'other body') throw keyReused();
    throw earlier.state === 'in progress' ? inProgress() : whenNone();
  }
}

function changeAfter(
  message: Message,
  { code, detail }: ProblemException,
  silentProvider: Provider | undefined,
): Change {
  // The caller can repeat the request with its key, and then learns the outcome.
  if (silentProvider?.idempotent === true && message.idempotencyKey !== undefined) {
    return resolveWith(message, silentProvider, Date.now());
  }
  const status = silentProvider === undefined ? 'failed' : 'unknown';
  return markUndelivered(message, { status, reason: code, detail });
}
