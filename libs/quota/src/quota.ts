import { randomUUID } from 'node:crypto';
import type { RedisConnection } from '#redis';
import type { Permit, QuotaEvent, QuotaState, Reservation, Settlement } from './permit.js';
import { ProviderQuota, type ProviderQuotaOptions } from './pod/provider-quota.js';
import { type LimitedPolicy, type QuotaPolicyInput, quotaPolicySchema } from './policy.js';
import { QuotaStore, type WhenForgotten } from './store/quota-store.js';

/** How long a permit may be held before it is used. */
const PERMIT_MS = 500;

export interface QuotaOptions {
  /** A connection of its own, from `openQuotaRedis` or opened with `QUOTA_REDIS_OPTIONS`. */
  redis: RedisConnection;
  providers: {
    name: string;
    policy: QuotaPolicyInput;
    /** Timeout of a request to the provider, in milliseconds. */
    timeoutMs: number;
  }[];
  /** What a provider's missing count means: `blocked` (default) waits out one block, `fresh` starts a new count. */
  whenForgotten?: WhenForgotten;
  /** How long a caller waits for Redis before it gets `unavailable`, in milliseconds. Default 100. */
  budgetMs?: number;
  /** Called on transitions only, never for single permits. */
  onEvent?: (event: QuotaEvent) => void;
}

/**
 * Permits to send to providers that accept a number of requests and then refuse all requests for a while, counted
 * exactly by any number of processes that share only a Redis.
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
  private readonly shared: Omit<ProviderQuotaOptions, 'provider' | 'policy' | 'timeoutMs'>;
  private readonly providers = new Map<string, ProviderQuota>();
  /** Replaced by a new configuration; their permits are settled through them. */
  private readonly replaced = new Set<ProviderQuota>();

  /**
   * @throws ZodError for an invalid policy
   * @throws TypeError for the policy `unlimited`
   */
  constructor({ redis, providers, ...options }: QuotaOptions) {
    this.store = new QuotaStore(redis);
    this.shared = {
      podId: randomUUID(),
      whenForgotten: options.whenForgotten ?? 'blocked',
      budgetMs: options.budgetMs ?? 100,
      permitMs: PERMIT_MS,
      onEvent: options.onEvent ?? (() => {}),
    };
    this.configure(providers);
  }

  /**
   * Adds providers, and changes the policies of known ones. Counts are kept; permits that are in use stay valid. A
   * provider that is not named any more keeps its quota, for requests that are still to be sent.
   * @throws ZodError for an invalid policy
   * @throws TypeError for the policy `unlimited`
   */
  configure(providers: QuotaOptions['providers']): void {
    const configured = providers.map((provider) => ({ ...provider, policy: limitedPolicyOf(provider) }));
    for (const quota of this.replaced) if (quota.isSettled) this.replaced.delete(quota);
    for (const { name, policy, timeoutMs } of configured) {
      const known = this.providers.get(name);
      if (known?.isConfiguredAs({ policy, timeoutMs })) continue;
      // An id of its own: its steps are numbered anew.
      const podId = known === undefined ? this.shared.podId : randomUUID();
      this.providers.set(
        name,
        new ProviderQuota(this.store, { ...this.shared, podId, provider: name, policy, timeoutMs }),
      );
      if (known === undefined) continue;
      this.replaced.add(known);
      void known.close();
    }
  }

  /** False while Redis cannot be reached: no permits are granted then. */
  get isConnected(): boolean {
    return this.store.isConnected;
  }

  /** Names of the providers that have a quota here. */
  get names(): string[] {
    return [...this.providers.keys()];
  }

  /** Round trips to Redis so far. */
  get trips(): number {
    return [...this.providers.values()].reduce((sum, provider) => sum + provider.trips, 0);
  }

  /**
   * Asks for the right to send one request.
   * Costs at most one Redis round trip, shared by concurrent callers, and none while the quota is blocked.
   * @throws RangeError for an unknown provider
   */
  reserve(provider: string): Promise<Reservation> {
    return this.of(provider).reserve();
  }

  /**
   * How long this pod knows the quota to stay blocked, in milliseconds; 0 when it may be open. Makes no round trip.
   * @throws RangeError for an unknown provider
   */
  blockedForMs(provider: string): number {
    return this.of(provider).blockedForMs;
  }

  /** Reports what became of a permit. Settle every permit, once. */
  settle(permit: Permit, settlement: Settlement): void {
    for (const quota of this.replaced) if (quota.owns(permit)) return quota.settle(permit, settlement);
    this.of(permit.provider).settle(permit, settlement);
  }

  /** The provider's quota as Redis counts it now, or undefined when Redis does not answer. */
  state(provider: string): Promise<QuotaState | undefined> {
    return this.of(provider).state();
  }

  /**
   * Creates the count of a provider. From then on a missing count is a forgotten one, and is treated as `whenForgotten`
   * says. Call it once in the life of a provider account.
   */
  provision(provider: string): Promise<void> {
    return this.store.provision(provider);
  }

  /** Gives back unused permits and delivers the last settlements. Does not close the Redis connection: the caller owns it. */
  async close(): Promise<void> {
    await Promise.all([...this.providers.values()].map((provider) => provider.close()));
  }

  private of(provider: string): ProviderQuota {
    const found = this.providers.get(provider);
    if (found === undefined) throw new RangeError(`no quota for provider "${provider}"`);
    return found;
  }
}

function limitedPolicyOf({ name, policy: input }: QuotaOptions['providers'][number]): LimitedPolicy {
  const policy = quotaPolicySchema.parse(input);
  if (policy.policy !== 'unlimited') return policy;
  throw new TypeError(`provider "${name}" is unlimited: send to it without permits, and leave it out here`);
}
