import { Inject, Injectable } from '@nestjs/common';
import { DELIVER_BY_MAX_MS } from '#contracts';
import { Journal } from '../journal/journal.service.js';
import { addHop, type Message } from '../message.js';
import { type Provider, PROVIDERS, type ProvidersFile } from '../providers/providers-file.js';
import { FreeShares } from '../quota/free-shares.service.js';
import { isFree } from '../routing/choose-route.js';
import { lastSafeMoment } from '../routing/deadlines.js';
import { FreeQuotaDispatchers } from './free-quota-dispatchers.service.js';
import { WaitingQueue } from './waiting-queue.service.js';

export type Accepted =
  | { outcome: 'accepted'; deliverBy: Date }
  /** An earlier request used the idempotency key. */
  | { outcome: 'keyTaken' }
  /** Another pod works on the message. */
  | { outcome: 'takenOver' };

/** Decides whether a message can wait for free quota, and accepts it. */
@Injectable()
export class WaitingMessages {
  constructor(
    @Inject(PROVIDERS) private readonly config: ProvidersFile,
    private readonly journal: Journal,
    private readonly queue: WaitingQueue,
    private readonly dispatchers: FreeQuotaDispatchers,
    private readonly shares: FreeShares,
  ) {}

  /** No message waits, and free quota is not known to be closed: a new message need not queue. */
  isIdle({ channel }: Message): boolean {
    return this.queue.length === 0 && this.dispatchers.areOpen(channel);
  }

  /** See `routing/deadlines.ts`. */
  lastSafeMoment(message: Message): Date {
    return lastSafeMoment({ message, providers: this.config.providers });
  }

  /** Whether a message will probably find a free slot while it can still wait. */
  comesInTime({ channel, mayPay, sendBy, deliverBy }: Message): boolean {
    const last = mayPay ? sendBy : deliverBy;
    return last !== undefined && Date.now() + this.dispatchers.nextSlotInMs(channel) <= last.getTime();
  }

  /** Puts a message on disk as waiting. Without a deadline it waits only if it may not be paid for. */
  async accept(message: Message): Promise<Accepted> {
    const { mayPay, createdAt } = message;
    const deliverBy = message.deliverBy ?? new Date(createdAt.getTime() + DELIVER_BY_MAX_MS);
    const isUrgent = message.deliverBy === undefined && mayPay;
    message.deliverBy = deliverBy;
    message.sendBy ??= isUrgent ? createdAt : this.lastSafeMoment(message);
    addHop(message, { step: 'waiting', waitMs: this.expectedInMs(message, message.sendBy) });
    const isNew = message.hopsOnDisk === 0;
    const isOurs = await (isNew
      ? this.journal.insert(message, { status: 'waiting' })
      : this.journal.change(message, { status: 'waiting' }));
    if (!isOurs) return { outcome: isNew ? 'keyTaken' : 'takenOver' };
    this.queue.add();
    for (const provider of this.freeProvidersOf(message)) this.shares.noteActive(message.accountId, provider);
    return { outcome: 'accepted', deliverBy };
  }

  private freeProvidersOf({ channel }: Message): readonly Provider[] {
    return (this.config.channels.get(channel)?.providers ?? []).filter(isFree);
  }

  /** While urgent messages come steadily they get the free slots: then only the last safe moment is certain. */
  private expectedInMs({ channel, mayPay }: Message, sendBy: Date): number {
    const freeInMs = Math.max(this.dispatchers.nextSlotInMs(channel), this.queue.urgentTrafficEndsInMs);
    const untilSendByMs = Math.max(0, sendBy.getTime() - Date.now());
    const isCapped = mayPay || freeInMs === Infinity;
    return Math.round(isCapped ? Math.min(freeInMs, untilSendByMs) : freeInMs);
  }
}
