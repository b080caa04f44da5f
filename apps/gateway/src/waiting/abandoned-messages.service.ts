import { type BeforeApplicationShutdown, Inject, Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import { Claims } from '../journal/claims.service.js';
import { IdempotencyService } from '../journal/idempotency.service.js';
import { Journal } from '../journal/journal.service.js';
import { afterAbandonment, type Message } from '../message.js';
import { PROVIDERS, type ProvidersFile } from '../providers/providers-file.js';
import { claimMsOf } from '../routing/deadlines.js';
import { Wakeup } from '../wakeup.js';

const SWEEP_MS = 2_000;
const BATCH_MAX = 100;

/** Takes over messages whose pod died while it worked on them. */
@Injectable()
export class AbandonedMessages implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly wakeup = new Wakeup();
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
    this.wakeup.signal();
    await this.running;
  }

  private async run(): Promise<void> {
    while (!this.isClosed) {
      await this.wakeup.wait(SWEEP_MS);
      try {
        if (!this.isClosed) await this.sweep();
      } catch (error) {
        // The journal logs that Postgres is down, and the next sweep finds the same messages.
        this.journal.noteFailure(error);
      }
    }
  }

  private async sweep(): Promise<void> {
    const claimMs = claimMsOf(this.config.providers);
    const abandoned = await this.claims.claimAbandoned({ count: BATCH_MAX, claimMs });
    await Promise.all(abandoned.map((message) => this.takeOver(message)));
  }

  private async takeOver(message: Message): Promise<void> {
    const change = afterAbandonment(message, this.config.providers, Date.now());
    const isOurs = await this.journal.change(message, change);
    // Nothing was sent, and nothing was promised: the caller may send again with the same key.
    if (isOurs && change.status === 'failed') await this.idempotency.release(message);
  }
}
