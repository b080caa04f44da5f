import { type BeforeApplicationShutdown, Inject, Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import { BackgroundLoop } from '#service';
import { Claims } from '../journal/claims.service.js';
import { IdempotencyService } from '../journal/idempotency.service.js';
import { Journal } from '../journal/journal.service.js';
import { afterAbandonment, type Message } from '../message.js';
import { PROVIDERS, type ProvidersFile } from '../providers/providers-file.js';
import { claimMsOf } from '../routing/deadlines.js';

const SWEEP_MS = 2_000;
const BATCH_MAX = 100;

/** Takes over messages whose pod died while it worked on them. */
@Injectable()
export class AbandonedMessages implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly loop = new BackgroundLoop(
    () => this.sweep(),
    (error) => {
      // The journal logs that Postgres is down, and the next sweep finds the same messages.
      this.journal.noteFailure(error);
      return SWEEP_MS;
    },
  );

  constructor(
    @Inject(PROVIDERS) private readonly config: ProvidersFile,
    private readonly claims: Claims,
    private readonly journal: Journal,
    private readonly idempotency: IdempotencyService,
  ) {}

  onApplicationBootstrap(): void {
    this.loop.start();
  }

  async beforeApplicationShutdown(): Promise<void> {
    await this.loop.close();
  }

  private async sweep(): Promise<number> {
    const claimMs = claimMsOf(this.config.providers);
    const abandoned = await this.claims.claimAbandoned({ count: BATCH_MAX, claimMs });
    await Promise.all(abandoned.map((message) => this.takeOver(message)));
    return SWEEP_MS;
  }

  private async takeOver(message: Message): Promise<void> {
    const change = afterAbandonment(message, this.config.providers, Date.now());
    const isOurs = await this.journal.change(message, change);
    // Nothing was sent, and nothing was promised: the caller may send again with the same key.
    if (isOurs && change.status === 'failed') await this.idempotency.release(message);
  }
}
