import { Inject, Injectable, Logger } from '@nestjs/common';
import { databaseReason } from '#database';
import type { Permit } from '#quota';
import { OutageLog } from '#service';
import { type Delivery, DeliveryService, type Denial } from '../delivery/delivery.service.js';
import { Journal } from '../journal/journal.service.js';
import { addHop, afterAttempt, type AttemptOutcome, type Message, placeOf } from '../message.js';
import { LOOK_AGAIN_MS } from '../money/spending.service.js';
import { type Provider, PROVIDERS, type ProvidersFile } from '../providers/providers-file.js';
import { type DeniedByShare, FreeShares } from '../quota/free-shares.service.js';
import { isToBePaid, routeNearDeadline } from '../routing/deadlines.js';
import { POLL_MS } from './free-quota-dispatcher.js';
import { WaitingQueue } from './waiting-queue.service.js';

/** Pause of a message that two pods had a share for. */
const SHARE_RETRY_MS = 1_000;

/** Sends waiting messages that this pod has claimed, and records the outcome. */
@Injectable()
export class WaitingDelivery {
  private readonly outage = new OutageLog(new Logger('waiting'), {
    failed: 'waiting-message loop failed',
    recovered: 'waiting-message loop recovered',
  });

  constructor(
    @Inject(PROVIDERS) private readonly config: ProvidersFile,
    private readonly delivery: DeliveryService,
    private readonly journal: Journal,
    private readonly queue: WaitingQueue,
    private readonly shares: FreeShares,
  ) {}

  /** By any provider the message may use, or by the one that may have delivered it already. Never fails. */
  async send(message: Message): Promise<void> {
    const { onlyProvider } = message;
    const only = this.config.providers.filter(({ key }) => key === onlyProvider);
    const route =
      onlyProvider === undefined ? routeNearDeadline(message, this.delivery.routeOf(message), Date.now()) : only;
    await this.conclude(message, async () => {
      const claim = this.delivery.claim();
      const delivery = await this.delivery.deliver(message, route, () => this.journal.change(message, claim));
      return outcomeOf(delivery, route);
    });
  }

  /** With a permit, if the provider has a quota. The claim has recorded the intent. Never fails. */
  async sendWithPermit(message: Message, provider: Provider, permit: Permit | undefined): Promise<void> {
    await this.conclude(message, async () => {
      const denial = permit && (await this.shares.charge(message.accountId, provider, permit));
      if (denial !== undefined) return beyondShare(message, provider, denial);
      const result = await this.delivery.send(message, provider, permit);
      if (result.outcome === 'delivered') return { ...result, provider };
      if (result.outcome === 'rejected' && this.delivery.stopsAtRejection(message)) return result;
      const silentProvider = result.outcome === 'unknown' ? provider : undefined;
      return { outcome: 'undelivered', silentProvider, waitMs: isToBePaid(message, Date.now()) ? 0 : undefined };
    });
  }

  /** The loops around waiting messages failed. If Postgres is the cause, the journal is down. */
  noteFailure(error: unknown): void {
    this.journal.noteFailure(error);
    this.outage.failed({ reason: databaseReason(error) });
  }

  noteSuccess(): void {
    this.outage.recovered();
  }

  /** After a failure the claim expires, and another pod goes on. */
  private async conclude(message: Message, attempt: () => Promise<AttemptOutcome | undefined>): Promise<void> {
    try {
      const outcome = await attempt();
      if (outcome === undefined) return;
      const change = afterAttempt(message, outcome, Date.now());
      await this.journal.retryUntilRecorded(() => this.journal.change(message, change));
      if (change.nextInMs !== undefined && change.nextInMs < POLL_MS) this.queue.add();
    } catch (error) {
      this.noteFailure(error);
    }
  }
}

/** Undefined when another pod has taken the message over. */
function outcomeOf(delivery: Delivery, route: readonly Provider[]): AttemptOutcome<Provider> | undefined {
  if (delivery.outcome === 'takenOver') return undefined;
  if (delivery.outcome === 'delivered' || delivery.outcome === 'rejected') return delivery;
  const { denials, silentProvider } = delivery;
  const waits = denials.flatMap((denial) => (denial.reason === 'unavailable' ? [] : [waitMsOf(denial)]));
  const isOnlyBlocked = waits.length > 0 && waits.length === route.length;
  return { outcome: 'undelivered', silentProvider, waitMs: isOnlyBlocked ? Math.min(...waits) : undefined };
}

/** Another pod has used the share meanwhile. The claim has recorded a send: it did not take place. */
function beyondShare(message: Message, provider: Provider, { reason }: DeniedByShare): AttemptOutcome {
  addHop(message, { step: 'no_permit', ...placeOf(provider), reason });
  const untilPaidMs = message.mayPay && message.sendBy ? message.sendBy.getTime() - Date.now() : Infinity;
  return {
    outcome: 'undelivered',
    silentProvider: undefined,
    waitMs: Math.max(0, Math.min(SHARE_RETRY_MS, untilPaidMs)),
  };
}

/** What an account may spend can change at any time. */
function waitMsOf({ reason, waitMs }: Extract<Denial, { waitMs: number }>): number {
  return reason === 'budget' ? Math.min(waitMs, LOOK_AGAIN_MS) : waitMs;
}
