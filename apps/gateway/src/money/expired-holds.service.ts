import { type BeforeApplicationShutdown, Injectable, Logger, type OnApplicationBootstrap } from '@nestjs/common';
import { databaseReason } from '#database';
import { BackgroundLoop, OutageLog } from '#service';
import type { ExpiredHold } from './budget-store.js';
import { isoDate } from './budget-day.js';
import { DEPLOYMENT, type HeldMessage, Ledger, paidForSchema } from './ledger.service.js';
import { Spending } from './spending.service.js';

const SWEEP_MS = 5_000;
const BATCH_MAX = 100;

/**
 * Settles what dead pods held, from the journal: a message that has ended counts at its cost, one in flight keeps its
 * hold. A message without a record may have been sent and paid for, so the ledger gets an unconfirmed entry.
 */
@Injectable()
export class ExpiredHolds implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly outage = new OutageLog(new Logger('budgets'), {
    failed: 'expired holds cannot be settled',
    recovered: 'expired holds are settled again',
  });
  private readonly loop = new BackgroundLoop(
    () => this.sweep(),
    (error) => {
      this.outage.failed({ reason: databaseReason(error) });
      return SWEEP_MS;
    },
  );

  constructor(
    private readonly spending: Spending,
    private readonly ledger: Ledger,
  ) {}

  onApplicationBootstrap(): void {
    this.loop.start();
  }

  async beforeApplicationShutdown(): Promise<void> {
    await this.loop.close();
  }

  private async sweep(): Promise<number> {
    const expired = await this.spending.takeExpiredHolds(BATCH_MAX);
    if (expired.length > 0) await this.settle(expired);
    for (const { accountId, amountMicros: micros, day } of await this.ledger.correct()) {
      const budgets = [accountId, DEPLOYMENT];
      this.spending.settleFromLedger({ message: '', micros, day, budgets, onlyIfHeld: false });
    }
    this.outage.recovered();
    return expired.length === BATCH_MAX ? 0 : SWEEP_MS;
  }

  private async settle(expired: readonly ExpiredHold[]): Promise<void> {
    const messages = await this.ledger.costOf(expired.map(({ id }) => id));
    const holdOf = new Map(expired.map((hold) => [hold.id, hold]));
    for (const message of messages) {
      const hold = holdOf.get(message.id);
      if (hold !== undefined && message.hasEnded !== false) await this.settleOne(message, hold);
    }
  }

  private async settleOne({ id, hasEnded, micros, day: dayOfCost }: HeldMessage, hold: ExpiredHold): Promise<void> {
    const day = dayOfCost ?? this.spending.today().day;
    const isLost = hasEnded === undefined && micros === 0;
    if (isLost) {
      const paidFor = paidForSchema.parse(JSON.parse(hold.paidFor));
      await this.ledger.addUnconfirmed(id, { micros: hold.micros, paidFor, day: isoDate(day) });
    }
    const cost = isLost ? hold.micros : micros;
    this.spending.settleFromLedger({ message: id, micros: cost, day, budgets: [], onlyIfHeld: true });
  }
}
