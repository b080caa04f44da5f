import { Inject, Injectable } from '@nestjs/common';
import type { Permit } from '#quota';
import { afterAttempt, type Attempted } from '../delivery/after-attempt.js';
import { chooseRoute } from '../routing/choose-route.js';
import { claimMsOf } from '../routing/deadlines.js';
import { DeliveryService } from '../delivery/delivery.service.js';
import { Journal } from '../journal/journal.service.js';
import type { Message } from '../message.js';
import type { Provider, ProvidersFile } from '../providers/providers-file.js';
import { PROVIDERS } from '../providers/providers.token.js';
import { FailureLog } from './failure-log.js';

/** Sends messages that waited and were claimed, and writes down what came of it. */
@Injectable()
export class Attempts {
  constructor(
    @Inject(PROVIDERS) private readonly config: ProvidersFile,
    private readonly delivery: DeliveryService,
    private readonly journal: Journal,
    private readonly failures: FailureLog,
  ) {}

  /** By whatever it may use, or by the only one that may have it. */
  async byAnybody(message: Message): Promise<void> {
    const { onlyProvider, mayPay } = message;
    const providers = this.config.providers.filter(({ name }) => onlyProvider === undefined || name === onlyProvider);
    const route = onlyProvider === undefined ? chooseRoute({ providers, mayPay }) : providers;
    await this.conclude(message, async () => {
      const delivery = await this.delivery.deliver(message, route, () => this.intend(message));
      if (delivery.outcome === 'delivered') return delivery;
      const waits = delivery.denials.flatMap((denial) => (denial.reason === 'unavailable' ? [] : [denial.waitMs]));
      const isOnlyBlocked = waits.length > 0 && waits.length === route.length;
      return { ...delivery, waitMs: isOnlyBlocked ? Math.min(...waits) : undefined };
    });
  }

  /** With a permit, if it takes one; that it is being sent was written when it was claimed. */
  async withPermit(message: Message, provider: Provider, permit: Permit | undefined): Promise<void> {
    await this.conclude(message, async () => {
      const result = await this.delivery.send(message, provider, permit);
      if (result.outcome === 'delivered') return { outcome: 'delivered', provider, response: result.response };
      return { outcome: 'undelivered', unknownAt: result.outcome === 'unknown' ? provider : undefined };
    });
  }

  private async intend(message: Message): Promise<void> {
    const isOurs = await this.journal.change(message, { status: 'sending', claimMs: claimMsOf(this.config) });
    if (!isOurs) throw new TakenOver();
  }

  /** Whatever fails leaves the claim to run out: then another pod goes on. */
  private async conclude(message: Message, attempt: () => Promise<Attempted>): Promise<void> {
    try {
      const change = afterAttempt(message, await attempt(), Date.now());
      await this.journal.retryUntilRecorded(() => this.journal.change(message, change));
    } catch (error) {
      if (!(error instanceof TakenOver)) this.failures.note(error);
    }
  }
}

/** Another pod believed this one dead, and works on the message now. */
class TakenOver extends Error {}
