import { randomUUID } from 'node:crypto';
import type { RedisConnection } from '#redis';
import type { Permit, QuotaEvent, QuotaState, Reservation, Settlement } from './permit.js';
import { type QuotaPolicyInput, quotaPolicySchema } from './policy.js';
import { ProviderQuota } from './pod/provider-quota.js';
import { QuotaStore, type WhenForgotten } from './store/quota-store.js';
import { UnlimitedQuota } from './unlimited-quota.js';

export interface QuotaOptions {
  /** A connection of its own, from `openQuotaRedis` or opened with `QUOTA_REDIS_OPTIONS`. */
  redis: RedisConnection;
  providers: {
    name: string;
    policy: QuotaPolicyInput;
    /** Longest time between sending and giving up on an answer, in milliseconds. */
    timeoutMs: number;
  }[];
  /** What a provider's missing count means: `blocked` (default) waits out one block, `fresh` starts anew. */
  whenForgotten?: WhenForgotten;
  /** How long a caller waits for Redis before it is told `unavailable`, in milliseconds. Default 100. */
  budgetMs?: number;
  /** How long a permit may be held before it is used, in milliseconds. Default 500. */
  permitMs?: number;
  /** Told of transitions only, never of single permits. */
  onEvent?: (event: QuotaEvent) => void;
}

/**
 * Permits to send to providers that accept a number of requests and then refuse everybody for a while, counted
 * exactly by any number of processes that share nothing but a Redis.
 *
 * ```ts
 * const reservation = await quota.reserve('free');
 * if (reservation.granted) {
 *   const answer = await send(message); // before reservation.permit.sendByMs
 *   quota.settle(reservation.permit, { outcome: 'accepted' });
 * }
 * ```
 */
export class Quota {
  private readonly store: QuotaStore;
  private readonly providers: ReadonlyMap<string, ProviderQuota | UnlimitedQuota>;

  /** @throws ZodError for a policy that is none */
  constructor({ redis, providers, ...options }: QuotaOptions) {
    this.store = new QuotaStore(redis);
    const shared = {
      podId: randomUUID(),
      whenForgotten: options.whenForgotten ?? 'blocked',
      budgetMs: options.budgetMs ?? 100,
      permitMs: options.permitMs ?? 500,
      onEvent: options.onEvent ?? (() => {}),
    };
    const quotaOf = ({ name, policy: input, timeoutMs }: QuotaOptions['providers'][number]) => {
      const policy = quotaPolicySchema.parse(input);
      if (policy.policy === 'unlimited') return new UnlimitedQuota(name);
      return new ProviderQuota(this.store, { ...shared, provider: name, policy, timeoutMs });
    };
    this.providers = new Map(providers.map((provider) => [provider.name, quotaOf(provider)]));
  }

  /** False while Redis cannot be reached: no permits then. */
  get isConnected(): boolean {
    return this.store.isConnected;
  }

  /** The providers this quota was given. */
  get names(): string[] {
    return [...this.providers.keys()];
  }

  /** Round trips to Redis so far. */
  get trips(): number {
    return [...this.providers.values()].reduce((sum, provider) => sum + provider.trips, 0);
  }

  /**
   * Asks for the right to send one request.
   * Costs one Redis round trip at most, shared by all who ask at the same time, and none while blocked.
   * @throws RangeError for a provider this quota was not given
   */
  reserve(provider: string): Promise<Reservation> {
    return this.of(provider).reserve();
  }

  /**
   * How long the quota is known to stay blocked, in milliseconds; 0 when it may be open. Asks nobody.
   * @throws RangeError for a provider this quota was not given
   */
  blockedForMs(provider: string): number {
    return this.of(provider).blockedForMs;
  }

  /** Says what became of a permit. Every permit must be settled, once. */
  settle(permit: Permit, settlement: Settlement): void {
    this.of(permit.provider).settle(permit, settlement);
  }

  /** How a provider's quota stands, or undefined when Redis does not answer. */
  state(provider: string): Promise<QuotaState | undefined> {
    return this.of(provider).state();
  }

  /**
   * Records that a provider is known from now on: a count that is missing later was forgotten, and is treated as
   * `whenForgotten` says. Call it once in the life of a provider account.
   */
  provision(provider: string): Promise<void> {
    return this.store.provision(provider);
  }

  /** Gives back permits in hand and delivers the last settlements. Redis stays open: it is the caller's. */
  async close(): Promise<void> {
    await Promise.all([...this.providers.values()].map((provider) => provider.close()));
  }

  private of(provider: string): ProviderQuota | UnlimitedQuota {
    const found = this.providers.get(provider);
    if (found === undefined) throw new RangeError(`no quota for provider "${provider}"`);
    return found;
  }
}
