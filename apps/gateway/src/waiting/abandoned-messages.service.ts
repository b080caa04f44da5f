import { type BeforeApplicationShutdown, Inject, Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import { afterDeath } from '../delivery/after-attempt.js';
import { claimMsOf } from '../routing/deadlines.js';
import { IdempotencyService } from '../journal/idempotency.service.js';
import { Journal } from '../journal/journal.service.js';
import type { Message } from '../message.js';
import type { ProvidersFile } from '../providers/providers-file.js';
import { PROVIDERS } from '../providers/providers.token.js';
import { Claims } from '../journal/claims.service.js';
import { Wakeup } from '../wakeup.js';

const EVERY_MS = 2_000;
const AT_ONCE = 100;

/** Takes over messages whose pod died while it worked on them. */
@Injectable()
export class AbandonedMessages implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly nudge = new Wakeup();
  private running: Promise<void> | undefined;
  private isClosed = false;

  constructor(
    @Inject(PROVIDERS) private readonly config: ProvidersFile,
    private readonly claims: Claims,
    private readonly journal: Journal,
    private readonly idempotency: IdempotencyService,
  ) {}

  onApplicationBootstrap(): void {
    this.running = this.run();
  }

  async beforeApplicationShutdown(): Promise<void> {
    this.isClosed = true;
    this.nudge.give();
    await this.running;
  }

  private async run(): Promise<void> {
    while (!this.isClosed) {
      await this.nudge.wait(EVERY_MS);
      try {
        if (!this.isClosed) await this.sweep();
      } catch {
        // Postgres is down: the journal says so, and the next sweep finds the same.
      }
    }
  }

  private async sweep(): Promise<void> {
    const orphans = await this.claims.orphans({ count: AT_ONCE, claimMs: claimMsOf(this.config) });
    await Promise.all(orphans.map((message) => this.takeOver(message)));
  }

  private async takeOver(message: Message): Promise<void> {
    const change = afterDeath(message, this.config.providers, Date.now());
    const isOurs = await this.journal.change(message, change);
    // Nobody was promised anything, and nothing was sent: the sender may try again with the same key.
    if (isOurs && change.status === 'failed') await this.idempotency.release(message);
  }
}
