import { type BeforeApplicationShutdown, Inject, Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import { limitOf, periodMsOf, Quota } from '#quota';
import { InFlight } from '../in-flight.js';
import type { Message } from '../message.js';
import { AccountHealth } from '../providers/account-health.service.js';
import type { LiveProviders } from '../providers/live-providers.js';
import { type Provider, PROVIDERS } from '../providers/providers-file.js';
import { ProviderSwitches } from '../providers/provider-switches.service.js';
import { isFree } from '../routing/choose-route.js';
import { FreeQuotaDispatcher, type Slot } from './free-quota-dispatcher.js';
import { WaitingDelivery } from './waiting-delivery.service.js';
import { WaitingQueue } from './waiting-queue.service.js';

/** Beyond any deadline: no provider is free. */
const NEVER_MS = 365 * 86_400_000;

/** One dispatcher of waiting messages for each free provider. */
@Injectable()
export class FreeQuotaDispatchers implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private dispatchers: FreeQuotaDispatcher[] = [];
  private readonly closing = new InFlight();

  constructor(
    @Inject(PROVIDERS) private readonly config: LiveProviders,
    private readonly quota: Quota,
    private readonly queue: WaitingQueue,
    private readonly delivery: WaitingDelivery,
    private readonly health: AccountHealth,
    private readonly switches: ProviderSwitches,
  ) {
    this.dispatchers = this.create();
    queue.onAdded(() => this.wake());
    config.onReplaced(() => this.replace());
    switches.onChanged(() => this.wake());
  }

  onApplicationBootstrap(): void {
    for (const dispatcher of this.dispatchers) dispatcher.start();
  }

  async beforeApplicationShutdown(): Promise<void> {
    await Promise.all(this.dispatchers.map((dispatcher) => dispatcher.close()));
    await this.closing.drain();
  }

  private create(): FreeQuotaDispatcher[] {
    const work = {
      share: (provider: Provider) => this.queue.share(provider),
      claim: (provider: Provider, slots: readonly Slot[]) => this.queue.claim(provider, slots),
      send: (message: Message, provider: Provider, slot: Slot) => this.delivery.sendWithPermit(message, provider, slot),
      pausedForMs: (provider: Provider) => this.health.pauseOf(provider)?.waitMs ?? 0,
      isEnabled: (provider: Provider) => this.switches.stateOf(provider) === 'enabled',
      failed: (error: unknown) => this.delivery.noteFailure(error),
    };
    return this.config.providers.filter(isFree).map((provider) => new FreeQuotaDispatcher(provider, this.quota, work));
  }

  /** After a reload of the providers file. Sends in flight end with the old providers. */
  private replace(): void {
    for (const dispatcher of this.dispatchers) this.closing.add(dispatcher.close());
    this.dispatchers = this.create();
    for (const dispatcher of this.dispatchers) dispatcher.start();
  }

  /** Free quota of at least one provider of the channel is not known to be closed. */
  areOpen(channel: string): boolean {
    return this.of(channel).some(({ opensInMs }) => opensInMs === 0);
  }

  /** Time until a message of a channel that starts to wait now will probably find a free slot, in milliseconds. */
  nextSlotInMs(channel: string): number {
    return Math.min(NEVER_MS, ...this.of(channel).map((dispatcher) => slotInMs(dispatcher, this.queue.length)));
  }

  private of(channel: string): FreeQuotaDispatcher[] {
    const providers = this.config.channels.get(channel)?.providers ?? [];
    return this.dispatchers.filter(({ provider }) => providers.includes(provider));
  }

  private wake(): void {
    for (const dispatcher of this.dispatchers) dispatcher.wake();
  }
}

/** Time until the messages that wait already have gone, one window's worth in a period. */
function slotInMs({ provider: { quota }, opensInMs }: FreeQuotaDispatcher, waiting: number): number {
  return quota === undefined ? 0 : opensInMs + Math.floor(waiting / limitOf(quota)) * periodMsOf(quota);
}
