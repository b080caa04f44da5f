import { randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type { RedisConnection } from '#redis';
import type {
  Amounts,
  NamedQuotaState,
  Permit,
  QuotaEvent,
  QuotaState,
  QuotaStep,
  Reservation,
  Settlement,
} from './permit.js';
import { AccountQuotas, REQUESTS } from './pod/account-quotas.js';
import { ProviderQuota, type ProviderQuotaOptions } from './pod/provider-quota.js';
import type { Recall } from './pod/rebuilding.js';
import { type LimitedPolicy, type QuotaPolicyInput, quotaPolicySchema } from './policy.js';
import { QuotaStore, type WhenForgotten } from './store/quota-store.js';

/** How long a permit may be held before it is used. */
const PERMIT_MS = 500;

/** A provider account with one quota, or with several. */
export type ProviderOptions = {
  name: string;
  /** Timeout of a request to the provider, in milliseconds. */
  timeoutMs: number;
} & ({ policy: QuotaPolicyInput } | { quotas: readonly QuotaInput[] });

export interface QuotaInput {
  /** Names the quota's count: a quota that is renamed starts anew. */
  name: string;
  policy: QuotaPolicyInput;
  /** What it counts: `requests`, the default, or an amount for each request, for example `tokens`. */
  unit?: string | undefined;
}

export interface QuotaOptions {
  /** A connection of its own, from `openQuotaRedis` or opened with `QUOTA_REDIS_OPTIONS`. */
  redis: RedisConnection;
  providers: ProviderOptions[];
  /** What a provider's missing count means: `blocked` (default) waits out one block, `fresh` starts a new count. */
  whenForgotten?: WhenForgotten;
  /** Rebuilds counts that Redis lost. Without it such a provider counts as blocked for one period. */
  recall?: Recall;
  /** How long a caller waits for Redis before it gets `unavailable`, in milliseconds. Default 100. */
  budgetMs?: number;
  /** Called on transitions only, never for single permits. */
  onEvent?: (event: QuotaEvent) => void;
  /** Called after each answered round trip to Redis; must be quick, and must not throw. */
  onStep?: (step: QuotaStep) => void;
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
  private readonly shared: Omit<ProviderQuotaOptions, 'provider' | 'quota' | 'policy' | 'timeoutMs'>;
  private readonly providers = new Map<string, { account: ProviderQuota | AccountQuotas; as: Configured }>();
  /** Replaced by a new configuration; their permits are settled through them. */
  private tripsOfReplaced = 0;
  private readonly replaced = new Set<ProviderQuota | AccountQuotas>();

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
      recall: options.recall,
      onEvent: options.onEvent ?? (() => {}),
      onStep: options.onStep,
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
    const configured = providers.map(configuredAs);
    for (const account of this.replaced) if (account.isSettled) this.replaced.delete(account);
    for (const as of configured) {
      const known = this.providers.get(as.name);
      if (isDeepStrictEqual(known?.as, as)) continue;
      this.providers.set(as.name, { account: this.accountOf(as, { isNew: known === undefined }), as });
      if (known === undefined) continue;
      this.replaced.add(known.account);
      this.tripsOfReplaced += known.account.trips;
      void known.account.close();
    }
  }

  /** False while Redis cannot be reached: no permits are granted then. */
  get isConnected(): boolean {
    return this.store.isConnected;
  }

  /** Names of the counts: a provider's, or `<provider>:<quota>` where it has several quotas. */
  get names(): string[] {
    return [...this.providers.values()].flatMap(({ as: { name, quotas } }) =>
      quotas.map((quota) => (quota.name === undefined ? name : `${name}:${quota.name}`)),
    );
  }

  /** Round trips to Redis so far. */
  get trips(): number {
    return [...this.providers.values()].reduce((sum, { account }) => sum + account.trips, this.tripsOfReplaced);
  }

  /**
   * The epoch of the provider's quota, of several the first one, as this pod knows it; 0 when it knows none. Makes no round trip.
   * @throws RangeError for an unknown provider
   */
  epochOf(provider: string): number {
    return this.of(provider).epoch;
  }

  /**
   * Asks for the right to send one request.
   * Costs at most one Redis round trip, shared by concurrent callers, and none while the quota is blocked.
   * @param estimates for quotas that count amounts, by name; by default what recent requests used
   * @throws RangeError for an unknown provider
   */
  reserve(provider: string, estimates?: Amounts): Promise<Reservation> {
    const account = this.of(provider);
    return account instanceof AccountQuotas ? account.reserve(estimates) : account.reserve();
  }

  /**
   * How long this pod knows the quota to stay blocked, in milliseconds; 0 when it may be open. Makes no round trip.
   * @throws RangeError for an unknown provider
   */
  blockedForMs(provider: string): number {
    return this.of(provider).blockedForMs;
  }

  /**
   * Whether the quota has free slots, as far as this pod knows. Makes no round trip: other pods may have used them.
   * @throws RangeError for an unknown provider
   */
  seemsOpen(provider: string): boolean {
    return this.isConnected && this.of(provider).seemsOpen;
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

  /** Each quota of the provider as Redis counts it now, or undefined when Redis does not answer. */
  async states(provider: string): Promise<NamedQuotaState[] | undefined> {
    const { account, as } = this.entryOf(provider);
    if (account instanceof AccountQuotas) return account.states();
    const [quota] = as.quotas;
    const state = await account.state();
    return state && quota && [{ ...state, name: quota.policy.policy, policy: quota.policy, unit: REQUESTS }];
  }

  /**
   * Creates a count, by one of `names`. From then on a missing count is a forgotten one, and is treated as `whenForgotten`
   * says. Call it once in the life of a provider account.
   */
  async provision(name: string): Promise<void> {
    for (const { as } of this.providers.values()) {
      const quota = as.quotas.find((other) => other.name !== undefined && `${as.name}:${other.name}` === name);
      if (quota !== undefined) return this.store.provision(as.name, quota.name);
    }
    await this.store.provision(name);
  }

  /** Gives back unused permits and delivers the last settlements. Does not close the Redis connection: the caller owns it. */
  async close(): Promise<void> {
    await Promise.all([...this.providers.values()].map(({ account }) => account.close()));
  }

  private accountOf(
    { name, timeoutMs, quotas }: Configured,
    { isNew }: { isNew: boolean },
  ): ProviderQuota | AccountQuotas {
    // An id of its own: its steps are numbered anew.
    const podId = isNew ? this.shared.podId : randomUUID();
    const counted = quotas.map(({ name: quota, policy, unit }) => {
      const onEvent = (event: QuotaEvent): void =>
        this.shared.onEvent(quota === undefined ? event : { ...event, quota });
      const countsAmounts = unit !== REQUESTS;
      const options = { ...this.shared, onEvent, podId, provider: name, quota, policy, timeoutMs, countsAmounts };
      return { name: quota ?? policy.policy, policy, unit, quota: new ProviderQuota(this.store, options) };
    });
    const [only] = counted;
    if (only === undefined) throw new TypeError(`provider "${name}" has no quota: leave it out here`);
    return quotas[0]?.name === undefined ? only.quota : new AccountQuotas(name, counted);
  }

  private of(provider: string): ProviderQuota | AccountQuotas {
    return this.entryOf(provider).account;
  }

  private entryOf(provider: string): { account: ProviderQuota | AccountQuotas; as: Configured } {
    const found = this.providers.get(provider);
    if (found === undefined) throw new RangeError(`no quota for provider "${provider}"`);
    return found;
  }
}

/** A provider with parsed policies. The only quota of a short form has no name. */
interface Configured {
  name: string;
  timeoutMs: number;
  quotas: readonly { name: string | undefined; policy: LimitedPolicy; unit: string }[];
}

function configuredAs(provider: ProviderOptions): Configured {
  const { name, timeoutMs } = provider;
  const quotas = 'policy' in provider ? [{ name: undefined, policy: provider.policy }] : provider.quotas;
  return {
    name,
    timeoutMs,
    quotas: quotas.map((quota) => ({
      name: quota.name,
      policy: limitedPolicyOf(name, quota.policy),
      unit: ('unit' in quota ? quota.unit : undefined) ?? REQUESTS,
    })),
  };
}

function limitedPolicyOf(name: string, input: QuotaPolicyInput): LimitedPolicy {
  const policy = quotaPolicySchema.parse(input);
  if (policy.policy !== 'unlimited') return policy;
  throw new TypeError(`provider "${name}" is unlimited: send to it without permits, and leave it out here`);
}
