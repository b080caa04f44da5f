import { type BeforeApplicationShutdown, Inject, Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import { ne } from 'drizzle-orm';
import { type Database, InjectDatabase, providerSwitches, type ProviderState } from '#database';
import { PostgresPoll } from '../postgres-poll.js';
import { type Provider, PROVIDERS, type ProvidersFile } from './providers-file.js';

/** How long a change by an admin may take to reach every pod. */
const POLL_MS = 1_000;

/**
 * Which provider accounts an admin has switched off. `drained`: no new message is sent to it, but messages
 * whose answers were lost are still resolved. `disabled`: nothing is sent. While Postgres does not answer, the last known states hold.
 */
@Injectable()
export class ProviderSwitches implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private off = new Map<string, ProviderState>();
  private registered = '';
  private readonly listeners: (() => void)[] = [];
  private readonly poll = new PostgresPoll(() => this.readStates(), { everyMs: POLL_MS, what: 'disabled providers' });

  constructor(
    @Inject(PROVIDERS) private readonly config: ProvidersFile,
    @InjectDatabase() private readonly db: Database,
  ) {}

  /** Known before the first message, if Postgres answers. */
  async onApplicationBootstrap(): Promise<void> {
    await this.poll.start();
  }

  async beforeApplicationShutdown(): Promise<void> {
    await this.poll.close();
  }

  /** @param listener called when an account was switched on or off */
  onChanged(listener: () => void): void {
    this.listeners.push(listener);
  }

  /** An account of a provider that was disabled while it had one account stays disabled. */
  stateOf({ key, name }: Pick<Provider, 'key' | 'name'>): ProviderState {
    return this.off.get(key) ?? this.off.get(name) ?? 'enabled';
  }

  /** @param isRepeat the account may already have delivered the message */
  allows(provider: Pick<Provider, 'key' | 'name'>, { isRepeat }: { isRepeat: boolean }): boolean {
    const state = this.stateOf(provider);
    return state === 'enabled' || (state === 'drained' && isRepeat);
  }

  private async readStates(): Promise<void> {
    await this.register();
    const rows = await this.db
      .select()
      .from(providerSwitches)
      .where(ne(providerSwitches.state, 'enabled'))
      .orderBy(providerSwitches.key);
    const before = JSON.stringify([...this.off]);
    this.off = new Map(rows.map(({ key, state }) => [key, state]));
    if (JSON.stringify([...this.off]) !== before) for (const listener of this.listeners) listener();
  }

  /** So that `auth`, which has no providers file, knows which accounts there are. */
  private async register(): Promise<void> {
    const keys = this.config.providers.map(({ key }) => key);
    if (keys.join('\n') === this.registered) return;
    await this.db
      .insert(providerSwitches)
      .values(keys.map((key) => ({ key })))
      .onConflictDoNothing();
    this.registered = keys.join('\n');
  }
}
