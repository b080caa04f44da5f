import { type BeforeApplicationShutdown, Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import { BackgroundLoop } from '#service';
import { InFlight } from '../in-flight.js';
import { POLL_MS } from './free-quota-dispatcher.js';
import { WaitingDelivery } from './waiting-delivery.service.js';
import { WaitingQueue } from './waiting-queue.service.js';

/** Most due messages in flight at once. */
const MAX_CONCURRENT = 256;
const EXPIRE_BATCH_MAX = 1_000;
/** Pause when another pod has claimed what is due, or this pod is at its maximum. */
const NOTHING_TO_DO_MS = 50;

/** Sends waiting messages at their last safe moment, and expires those whose deadline has passed. */
@Injectable()
export class DueMessages implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly inFlight = new InFlight();
  private readonly loop = new BackgroundLoop(
    () => this.sendDue(),
    (error) => {
      this.delivery.noteFailure(error);
      return POLL_MS;
    },
  );

  constructor(
    private readonly queue: WaitingQueue,
    private readonly delivery: WaitingDelivery,
  ) {
    queue.onAdded(() => this.loop.wake());
  }

  onApplicationBootstrap(): void {
    this.loop.start();
  }

  async beforeApplicationShutdown(): Promise<void> {
    await this.loop.close();
    await this.inFlight.drain();
  }

  /** @returns in how many milliseconds the next message is due, at most `POLL_MS` */
  private async sendDue(): Promise<number> {
    const dueInMs = (await this.queue.poll()) ?? POLL_MS;
    this.delivery.noteSuccess();
    if (dueInMs > 0) return Math.min(POLL_MS, dueInMs);
    const started = await this.startDue();
    const expired = await this.queue.expire(EXPIRE_BATCH_MAX);
    return started + expired > 0 ? 0 : NOTHING_TO_DO_MS;
  }

  /** @returns how many sends were started */
  private async startDue(): Promise<number> {
    const count = MAX_CONCURRENT - this.inFlight.size;
    if (count === 0) return 0;
    const messages = await this.queue.claimDue(count);
    for (const message of messages) {
      this.inFlight.add(this.delivery.send(message), () => {
        // Once for many sends: one poll serves all of them.
        if (this.inFlight.size === MAX_CONCURRENT / 2) this.loop.wake();
      });
    }
    return messages.length;
  }
}
