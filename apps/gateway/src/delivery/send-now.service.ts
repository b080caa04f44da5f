import { Inject, Injectable } from '@nestjs/common';
import type { DeliveredMessage } from '#contracts';
import { ProblemException } from '#service';
import { IdempotencyService } from '../journal/idempotency.service.js';
import { Journal } from '../journal/journal.service.js';
import { addHop, attemptsOf, type Change, deliveredAnswer, type Message, wasSent } from '../message.js';
import type { Provider, ProvidersFile } from '../providers/providers-file.js';
import { PROVIDERS } from '../providers/providers.token.js';
import { askAgain, delivered } from './after-attempt.js';
import { claimMsOf } from '../routing/deadlines.js';
import { chooseRoute } from '../routing/choose-route.js';
import { type Delivery, DeliveryService } from './delivery.service.js';
import { undelivered } from '../messages/undelivered.js';

/** Delivers a message while its sender waits for the answer. */
@Injectable()
export class SendNowService {
  constructor(
    @Inject(PROVIDERS) private readonly config: ProvidersFile,
    private readonly delivery: DeliveryService,
    private readonly journal: Journal,
    private readonly idempotency: IdempotencyService,
  ) {}

  /** @throws ProblemException saying why nobody could deliver it */
  async send(message: Message): Promise<DeliveredMessage> {
    const route = chooseRoute({ providers: this.config.providers, mayPay: message.mayPay });
    const delivery = await this.attempt(message, route);
    return await this.conclude(message, delivery);
  }

  /** Tries these providers. A message with a key is on disk before anything is sent, one without when it is over. */
  attempt(message: Message, route: readonly Provider[]): Promise<Delivery> {
    const hasKey = message.idempotencyKey !== undefined;
    this.journal.admit({ mustBeOnDisk: hasKey });
    return hasKey ? this.attemptOnDisk(message, route) : this.delivery.deliver(message, route);
  }

  private async attemptOnDisk(message: Message, route: readonly Provider[]): Promise<Delivery> {
    const claimMs = claimMsOf(this.config);
    if (message.hopsOnDisk === 0) await this.journal.insert(message, { status: 'sending', claimMs });
    return this.delivery.deliver(message, route, async () => {
      const isOurs = await this.journal.change(message, { status: 'sending', claimMs });
      if (!isOurs) throw new ProblemException('unavailable', 'This took too long. Try again.', { retryAfterMs: 1_000 });
    });
  }

  /** Writes down what came of it, and answers the sender. */
  async conclude(message: Message, delivery: Delivery): Promise<DeliveredMessage> {
    if (delivery.outcome === 'delivered') {
      const { name: provider, priceMicros: costMicros } = delivery.provider;
      await this.write(message, delivered(message, delivery));
      const { currency } = this.config;
      return deliveredAnswer(message, { provider, response: delivery.response, costMicros, currency });
    }
    const attempts = attemptsOf(message.hops);
    const { denials, unknownAt } = delivery;
    const problem = undelivered({ attempts, denials, mayPay: message.mayPay, nowMs: Date.now() });
    await (wasSent(message.hops) ? this.writeSent(message, problem, unknownAt) : this.forget(message, problem));
    throw problem;
  }

  private async writeSent(message: Message, problem: ProblemException, unknownAt: Provider | undefined): Promise<void> {
    // With its key the sender can ask again, and is then told what came of it.
    if (unknownAt?.idempotent && message.idempotencyKey !== undefined) {
      return this.write(message, askAgain(message, unknownAt, Date.now()));
    }
    await this.write(message, ended(message, unknownAt === undefined ? 'failed' : 'unknown', problem));
  }

  /** Nothing was sent: the same key may be used to try again, and without a key there is nothing to tell. */
  private async forget(message: Message, problem: ProblemException): Promise<void> {
    if (message.hopsOnDisk === 0) return;
    await this.write(message, ended(message, 'failed', problem));
    await this.journal.retryUntilRecorded(() => this.idempotency.release(message));
  }

  private write(message: Message, change: Change): Promise<void> {
    if (message.hopsOnDisk === 0) return this.journal.insertFinished(message, change);
    return this.journal.withinDeadline(() => this.journal.change(message, change));
  }
}

function ended(message: Message, status: 'failed' | 'unknown', { code, detail }: ProblemException): Change {
  addHop(message, { step: status, reason: code });
  return { status, ending: { status, reason: code, detail } };
}
