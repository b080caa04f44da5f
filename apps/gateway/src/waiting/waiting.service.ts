import { type BeforeApplicationShutdown, Inject, Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import { limitOf, periodMsOf, Quota } from '#quota';
import { claimMsOf } from '../routing/deadlines.js';
import type { Message } from '../message.js';
import type { Provider, ProvidersFile } from '../providers/providers-file.js';
import { PROVIDERS } from '../providers/providers.token.js';
import { Attempts } from './attempts.service.js';
import { Claims } from '../journal/claims.service.js';
import { FailureLog } from './failure-log.js';
import { FreeQuotaDispatcher, POLL_MS, type Slot } from './free-quota-dispatcher.js';
import { Wakeup } from '../wakeup.js';
import { Queue } from './waiting-queue.service.js';

/** Most messages sent at once whose last safe moment has come. */
const DUE_AT_ONCE = 256;
/** Beyond any deadline: when nothing is free. */
const FAR_MS = 365 * 86_400_000;
const EXPIRED_AT_ONCE = 1_000;
/** What is due is in the hands of another pod, or this one is busy. */
const NOTHING_TO_DO_MS = 50;

/** Messages that wait, in the journal: sent when free quota opens, paid for at the last safe moment. */
@Injectable()
export class WaitingService implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly lanes: FreeQuotaDispatcher[];
  private readonly due = new Wakeup();
  private readonly underWay = new Set<Promise<void>>();
  private readonly claimMs: number;
  private running: Promise<void> | undefined;
  private isClosed = false;

  constructor(
    @Inject(PROVIDERS) config: ProvidersFile,
    quota: Quota,
    private readonly queue: Queue,
    private readonly claims: Claims,
    private readonly attempts: Attempts,
    private readonly failures: FailureLog,
  ) {
    const work = {
      share: (provider: Provider) => this.queue.share(provider),
      claim: (provider: Provider, slots: readonly Slot[]) => this.claim(provider, slots),
      send: (message: Message, provider: Provider, slot: Slot) => this.attempts.withPermit(message, provider, slot),
      failed: (error: unknown) => this.failures.note(error),
    };
    this.lanes = config.providers
      .filter(({ priceMicros }) => priceMicros === 0)
      .map((provider) => new FreeQuotaDispatcher(provider, quota, work));
    this.claimMs = claimMsOf(config);
  }

  onApplicationBootstrap(): void {
    for (const lane of this.lanes) lane.start();
    this.running = this.run();
  }

  async beforeApplicationShutdown(): Promise<void> {
    this.isClosed = true;
    this.due.give();
    await Promise.all([this.running, ...this.lanes.map((lane) => lane.close())]);
    await Promise.all(this.underWay);
  }

  /** Nobody waits, and free quota is not known to be closed: a message need not queue. */
  get isIdle(): boolean {
    return this.queue.length === 0 && this.lanes.some((lane) => lane.opensInMs === 0);
  }

  /** When a message that waits from now on will probably find a free slot. */
  freeAt(nowMs: number): Date {
    return new Date(nowMs + Math.min(FAR_MS, ...this.lanes.map((lane) => slotInMs(lane, this.queue.length))));
  }

  /** Something waits that was not there before. */
  added(): void {
    this.queue.added();
    this.due.give();
    for (const lane of this.lanes) lane.wake();
  }

  private async run(): Promise<void> {
    while (!this.isClosed) {
      let restMs = POLL_MS;
      try {
        restMs = await this.sendDue();
        this.failures.noteSuccess();
      } catch (error) {
        this.failures.note(error);
      }
      await this.due.wait(restMs);
    }
  }

  /** @returns in how many milliseconds the next is due, at most `POLL_MS` */
  private async sendDue(): Promise<number> {
    const wasEmpty = this.queue.length === 0;
    const dueInMs = (await this.queue.look()) ?? POLL_MS;
    if (wasEmpty && this.queue.length > 0) for (const lane of this.lanes) lane.wake();
    if (dueInMs > 0) return Math.min(POLL_MS, dueInMs);
    const sent = await this.sendWhatIsDue();
    const expired = await this.claims.expire(EXPIRED_AT_ONCE);
    return sent + expired > 0 ? 0 : NOTHING_TO_DO_MS;
  }

  /** @returns how many are on their way now that were not before */
  private async sendWhatIsDue(): Promise<number> {
    const count = DUE_AT_ONCE - this.underWay.size;
    if (count === 0) return 0;
    const messages = await this.claims.due({ count, claimMs: this.claimMs });
    for (const message of messages) {
      const sent = this.attempts.byAnybody(message).finally(() => {
        this.underWay.delete(sent);
        // Not for each of them: one look serves many.
        if (this.underWay.size === DUE_AT_ONCE / 2) this.due.give();
      });
      this.underWay.add(sent);
    }
    return messages.length;
  }

  private async claim({ name }: Provider, slots: readonly Slot[]): Promise<Message[]> {
    const claimed = await this.claims.forSlots({
      provider: name,
      epoch: slots[0]?.epoch,
      count: slots.length,
      claimMs: this.claimMs,
    });
    this.queue.claimed(claimed.length);
    return claimed;
  }
}

/** Behind what waits already, a window's worth in each period. */
function slotInMs({ provider: { quota }, opensInMs }: FreeQuotaDispatcher, waiting: number): number {
  return quota === undefined ? 0 : opensInMs + Math.floor(waiting / limitOf(quota)) * periodMsOf(quota);
}
