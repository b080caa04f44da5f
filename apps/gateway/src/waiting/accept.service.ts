import { Inject, Injectable } from '@nestjs/common';
import { DELIVER_BY_MAX_MS, type DeliveredMessage, type WaitingMessage } from '#contracts';
import { ProblemException } from '#service';
import { Journal } from '../journal/journal.service.js';
import { addHop, type Message, waitingAnswer } from '../message.js';
import { chooseRoute } from '../routing/choose-route.js';
import { undelivered } from '../messages/undelivered.js';
import { SendNowService } from '../delivery/send-now.service.js';
import type { ProvidersFile } from '../providers/providers-file.js';
import { PROVIDERS } from '../providers/providers.token.js';
import { WaitingService } from './waiting.service.js';

/** Paying takes the time-out of a provider at worst; usually far less, and what is left over is for free quota. */
const TIME_TO_PAY_MAX_MS = 2_000;

/** Accepts messages that may wait. */
@Injectable()
export class AcceptService {
  constructor(
    @Inject(PROVIDERS) private readonly config: ProvidersFile,
    private readonly journal: Journal,
    private readonly now: SendNowService,
    private readonly waiting: WaitingService,
  ) {}

  /** To be sent later: as soon as possible, or when free quota opens before its deadline. On disk when this returns. */
  async accept(message: Message): Promise<WaitingMessage> {
    const { mayPay } = message;
    if (chooseRoute({ providers: this.config.providers, mayPay }).length === 0) {
      throw undelivered({ attempts: [], denials: [], mayPay, nowMs: Date.now() });
    }
    const waits = message.deliverBy !== undefined;
    const deliverBy = message.deliverBy ?? new Date(message.createdAt.getTime() + DELIVER_BY_MAX_MS);
    message.deliverBy = deliverBy;
    message.sendBy ??= this.lastSafeMoment(message, { waits });
    const accepted = addHop(message, { step: 'waiting', waitMs: this.expectedInMs(message) });
    this.journal.admit({ mustBeOnDisk: true });
    if (message.hopsOnDisk === 0) await this.journal.insert(message, { status: 'waiting' });
    else if (!(await this.journal.change(message, { status: 'waiting' }))) {
      throw new ProblemException('unavailable', 'This took too long. Try again.', { retryAfterMs: 1_000 });
    }
    this.waiting.added();
    return waitingAnswer({ id: message.id, deliverBy }, accepted);
  }

  /** Free at once, free when quota opens in time, or paid for. */
  async sendOrWait(message: Message): Promise<DeliveredMessage | WaitingMessage> {
    const { providers } = this.config;
    message.sendBy = this.lastSafeMoment(message, { waits: true });
    if (message.mayPay && message.sendBy.getTime() <= Date.now()) return this.now.send(message);
    if (!this.waiting.isIdle && this.comesInTime(message)) return this.accept(message);
    const free = providers.filter(({ priceMicros }) => priceMicros === 0);
    const delivery = await this.now.attempt(message, free);
    if (delivery.outcome === 'delivered') return this.now.conclude(message, delivery);
    if (delivery.unknownAt === undefined && this.comesInTime(message)) return this.accept(message);
    const paid = message.mayPay ? providers.filter(({ priceMicros }) => priceMicros > 0) : [];
    const second = await this.now.attempt(message, paid);
    if (second.outcome === 'delivered') return this.now.conclude(message, second);
    return this.now.conclude(message, {
      outcome: 'undelivered',
      denials: [...delivery.denials, ...second.denials],
      unknownAt: second.unknownAt ?? delivery.unknownAt,
    });
  }

  /** From here on a message that may be paid for is. One that may not would be lost: it is urgent at half its time. */
  private lastSafeMoment({ createdAt, deliverBy, mayPay }: Message, { waits }: { waits: boolean }): Date {
    if (deliverBy === undefined || (mayPay && !waits)) return createdAt;
    if (!mayPay) return new Date((createdAt.getTime() + deliverBy.getTime()) / 2);
    const slowest = Math.max(...this.config.providers.map(({ timeoutMs }) => timeoutMs));
    return new Date(deliverBy.getTime() - Math.min(slowest, TIME_TO_PAY_MAX_MS));
  }

  private expectedInMs({ sendBy, mayPay }: Message): number {
    const nowMs = Date.now();
    const freeMs = this.waiting.freeAt(nowMs).getTime();
    const paidMs = mayPay && sendBy !== undefined ? sendBy.getTime() : Infinity;
    return Math.max(0, Math.round(Math.min(freeMs, paidMs) - nowMs));
  }

  private comesInTime({ mayPay, sendBy, deliverBy }: Message): boolean {
    const last = mayPay ? sendBy : deliverBy;
    return last !== undefined && this.waiting.freeAt(Date.now()).getTime() <= last.getTime();
  }
}
