import { type BeforeApplicationShutdown, Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import { InFlight } from '../in-flight.js';
import { Wakeup } from '../wakeup.js';
import { POLL_MS } from './free-quota-dispatcher.js';
import { WaitingDelivery } from './waiting-delivery.service.js';
import { WaitingQueue } from './waiting-queue.service.js';

/** Most due messages in flight at once. */
const MAX_CONCURRENT = 256;
const EXPIRE_BATCH_MAX = 1_000;
/** Another pod has claimed what is due, or this pod is at its maximum. */
const NOTHING_TO_DO_MS = 50;

/** Sends waiting messages at their last safe moment, and expires those whose deadline has passed. */
@Injectable()
export class DueMessages implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly wakeup = new Wakeup();
  private readonly inFlight = new InFlight();
  private running: Promise<void> | undefined;
  private isClosed = false;

  constructor(
    private readonly queue: WaitingQueue,
    private readonly delivery: WaitingDelivery,
  ) {
    queue.onAdded(() => this.wakeup.signal());
  }

  onApplicationBootstrap(): void {
    this.running = this.run();
  }

  async beforeApplicationShutdown(): Promise<void> {
    this.isClosed = true;
    this.wakeup.signal();
    await this.running;
    await this.inFlight.drain();
  }

  private async run(): Promise<void> {
    while (!this.isClosed) {
      let pauseMs = POLL_MS;
      try {
        pauseMs = await this.sendDue();
        this.delivery.noteSuccess();
      } catch (error) {
        this.delivery.noteFailure(error);
      }
      await this.wakeup.wait(pauseMs);
    }
  }

  /** @returns in how many milliseconds the next message is due, at most `POLL_MS` */
  private async sendDue(): Promise<number> {
    const dueInMs = (await this.queue.poll()) ?? POLL_MS;
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
        if (this.inFlight.size === MAX_CONCURRENT / 2) this.wakeup.signal();
      });
    }
    return messages.length;
  }
}
