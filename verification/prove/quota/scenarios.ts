import type { Load } from './arrivals.js';
import { type FaultName, FAULTS } from './faults.js';
import type { LimitedPolicy } from '#quota';
import { type LimiterName, LIMITERS, type Unit } from '../../testbed/limiters.js';

const LIMIT = 50;
const PERIOD_MS = 2_000;
const REFILL_PER_SECOND = 25;
const WINDOW = { limit: LIMIT, windowMs: PERIOD_MS } as const;

export const POLICIES = {
  'count-then-block': { policy: 'count-then-block', limit: LIMIT, blockMs: PERIOD_MS, startsAt: 'last-accept' },
  'block at refusal': { policy: 'count-then-block', limit: LIMIT, blockMs: PERIOD_MS, startsAt: 'first-refusal' },
  'fixed window': { policy: 'fixed-window', ...WINDOW, anchor: 'first-accept', clockSkewMs: 0 },
  // Provider and Redis share the clock of one machine; each rounds it.
  'fixed by clock': { policy: 'fixed-window', ...WINDOW, anchor: 'clock', clockSkewMs: 5 },
  'sliding window': { policy: 'sliding-window', ...WINDOW },
  'token bucket': { policy: 'token-bucket', capacity: LIMIT, refillPerSecond: REFILL_PER_SECOND },
} as const satisfies Record<string, LimitedPolicy>;

/** For a question of their own, not for every load and fault. */
const SPECIAL_POLICIES = {
  /** Tokens a minute, in less time. */
  tokens: { policy: 'fixed-window', limit: 1_000, windowMs: PERIOD_MS, anchor: 'first-accept', clockSkewMs: 0 },
  /** The shortest calendar windows: the provider counts each second by its clock. */
  'every second': {
    policy: 'fixed-window',
    limit: 20,
    every: 'second',
    timeZone: 'America/Los_Angeles',
    offsetMs: 0,
    clockSkewMs: 5,
  },
  minute: { policy: 'fixed-window', limit: 12, windowMs: 60_000, anchor: 'first-accept', clockSkewMs: 0 },
  /** A day in less time. With a shorter one, a wait of a second could be that of the day. */
  'short day': { policy: 'fixed-window', limit: 100, windowMs: 30_000, anchor: 'first-accept', clockSkewMs: 0 },
} as const satisfies Record<string, LimitedPolicy>;
export type PolicyName = keyof typeof POLICIES | keyof typeof SPECIAL_POLICIES;

/** Limits that the account has beside its policy. The demand is above each of them. */
export const OTHER_LIMITS = {
  none: [],
  'and 30 a second': [{ policy: 'sliding-window', limit: 30, windowMs: 1_000 }],
  'and 2 at once': [{ policy: 'concurrency', limit: 2 }],
  'and both': [
    { policy: 'sliding-window', limit: 30, windowMs: 1_000 },
    { policy: 'concurrency', limit: 2 },
  ],
  'and 5 in 3 s, 2 at once': [
    { policy: 'sliding-window', limit: 5, windowMs: 3_000 },
    { policy: 'concurrency', limit: 2 },
  ],
} as const satisfies Record<string, readonly LimitedPolicy[]>;
export type OtherLimits = keyof typeof OTHER_LIMITS;

const BURST = { policy: 'sliding-window', limit: 10, windowMs: 1_000 } as const;

/** Limits of the provider that no gateway is configured for. */
export const HIDDEN_LIMITS = {
  none: { limits: [], areAnnounced: false },
  'hidden burst': { limits: [BURST], areAnnounced: false },
  'announced burst': { limits: [BURST], areAnnounced: true },
} as const satisfies Record<string, { limits: readonly LimitedPolicy[]; areAnnounced: boolean }>;
export type HiddenLimits = keyof typeof HIDDEN_LIMITS;

/** Messages of 10 to 400 tokens, uniformly. */
export const TOKENS = { min: 10, max: 400 };

export interface Scenario {
  policy: PolicyName;
  /** Overrides the limit of the policy. */
  limit?: number;
  others: OtherLimits;
  hidden: HiddenLimits;
  /** The policy counts tokens: what a message is estimated to use, as a multiple of what it uses. */
  estimate?: number;
  /** How long the provider takes for an answer. */
  latencyMs: number;
  pods: number;
  load: Load;
  perSecond: number;
  durationMs: number;
  fault: FaultName;
  /** Whether the provider sends `RateLimit` headers of the limits that the gateways know. */
  announces: boolean;
  limiter: LimiterName;
}

const DEFAULTS = {
  policy: 'count-then-block',
  others: 'none',
  hidden: 'none',
  latencyMs: 0,
  pods: 4,
  load: 'steady',
  perSecond: 50,
  durationMs: 10_000,
  fault: 'none',
  announces: true,
  limiter: 'octo',
} as const satisfies Scenario;

/** Enough to recover from the longest fault, and for two windows more. */
const FAULT_RUN_MS = 16_000;
const OUTAGE_RUN_MS = 36_000;

const ALL_POLICIES = Object.keys(POLICIES) as (keyof typeof POLICIES)[];
const OTHER_LIMITERS = (Object.keys(LIMITERS) as LimiterName[]).filter((name) => name !== 'octo');

/** A quota so large that pods prefetch permits until it is nearly used up. */
const LARGE = { pods: 2, limit: 2_000, perSecond: 400 };

const SEVERAL = { policy: 'fixed by clock', others: 'and 30 a second' } as const;

/** Not every combination: each policy with each number of pods, each load, and the faults that matter to it. */
export function scenariosOf({ quick }: { quick: boolean }): Scenario[] {
  if (quick) return quickScenarios();
  return [
    ...calmScenarios(),
    ...largeScenarios(),
    ...severalScenarios(),
    ...calendarScenarios(),
    ...tokenScenarios(),
    ...hiddenScenarios(),
    ...faultScenarios(),
    ...comparisons(),
  ];
}

function quickScenarios(): Scenario[] {
  // Ends during a block, so that no window is cut in half.
  const durationMs = 8_000;
  return [
    scenario({ pods: 1, durationMs }),
    ...ALL_POLICIES.map((policy) => scenario({ policy, durationMs })),
    scenario({ ...SEVERAL, others: 'and both', pods: 8, latencyMs: 20, durationMs }),
    ...OTHER_LIMITERS.map((limiter) => scenario({ limiter, durationMs })),
    withFault('count-then-block', 'pod killed'),
    withFault('count-then-block', 'Redis restarted empty'),
  ];
}

function calmScenarios(): Scenario[] {
  const byPods = ALL_POLICIES.flatMap((policy) => [1, 4, 8].map((pods) => scenario({ policy, pods })));
  const loads = (['bursty', 'idle, then burst'] as const).flatMap((load) =>
    ALL_POLICIES.map((policy) => scenario({ policy, load, durationMs: durationOf({ policy, load }) })),
  );
  const unannounced = ALL_POLICIES.map((policy) => scenario({ policy, announces: false }));
  return [...byPods, scenario({ pods: 2 }), ...loads, ...unannounced];
}

/** No run ends amid a window: a delay of one message in each earlier window would cost many messages in that one. */
function durationOf({ policy, load }: Pick<Scenario, 'policy' | 'load'>): number {
  const isBlocking = policy === 'count-then-block' || policy === 'block at refusal';
  return load === 'idle, then burst' && isBlocking ? 9_000 : DEFAULTS.durationMs;
}

function largeScenarios(): Scenario[] {
  const policies: PolicyName[] = ['count-then-block', 'fixed window', 'sliding window', 'token bucket'];
  return policies.map((policy) => scenario({ ...LARGE, policy }));
}

/** Several limits on one account: all are kept, and the tightest is used up. */
function severalScenarios(): Scenario[] {
  const calm = [1, 4].map((pods) => scenario({ ...SEVERAL, pods }));
  const atOnce = (['and 2 at once', 'and both'] as const).map((others) =>
    scenario({ ...SEVERAL, others, pods: 8, latencyMs: 20 }),
  );
  const faults = (['pod killed', 'Redis restarted empty'] as const).map((fault) =>
    Object.assign(withFault(SEVERAL.policy, fault), SEVERAL),
  );
  const limiters = (['rate-limiter-flexible', 'N / pods'] as const).map((limiter) => scenario({ ...SEVERAL, limiter }));
  return [...calm, ...atOnce, minuteScenario(), ...faults, ...limiters];
}

/** The minute is used up, although the shorter limits let 5 messages of each 3 s through. */
function minuteScenario(): Scenario {
  return scenario({
    policy: 'minute',
    others: 'and 5 in 3 s, 2 at once',
    latencyMs: 20,
    perSecond: 5,
    durationMs: 70_000,
  });
}

/** A day, and a change of the clocks in it, cannot be compressed: the calendar is that of the time zone database. */
function calendarScenarios(): Scenario[] {
  return [1, 4].map((pods) => scenario({ policy: 'every second', pods }));
}

function tokenScenarios(): Scenario[] {
  // Ends amid the time for which the fifth window is used up.
  const tokens = { policy: 'tokens', perSecond: 60, durationMs: 9_500 } as const;
  const estimates = [0.5, 2].flatMap((estimate) => [1, 4].map((pods) => scenario({ ...tokens, estimate, pods })));
  const unannounced = [0.5, 2].map((estimate) => scenario({ ...tokens, estimate, announces: false }));
  const limiters = (['rate-limiter-flexible', 'N / pods'] as const).map((limiter) =>
    scenario({ ...tokens, estimate: 2, limiter }),
  );
  return [...estimates, ...unannounced, ...limiters];
}

/** One window, which the pauses leave time to use up. */
function hiddenScenarios(): Scenario[] {
  const day = { policy: 'short day', perSecond: 25, durationMs: 28_000 } as const;
  const hidden = (['hidden burst', 'announced burst'] as const).flatMap((name) =>
    [1, 4].map((pods) => scenario({ ...day, hidden: name, pods, announces: false })),
  );
  const limiters = (['rate-limiter-flexible', 'N / pods'] as const).map((limiter) =>
    scenario({ ...day, hidden: 'hidden burst', announces: false, limiter }),
  );
  return [...hidden, ...limiters];
}

function faultScenarios(): Scenario[] {
  const every = (Object.keys(FAULTS) as FaultName[]).filter((name) => name !== 'none');
  const essential: FaultName[] = ['pod killed', 'Redis restarted empty', 'lost replies', 'foreign, announced'];
  return ALL_POLICIES.flatMap((policy) =>
    (policy === 'count-then-block' ? every : essential).map((fault) => withFault(policy, fault)),
  );
}

function withFault(policy: PolicyName, fault: FaultName): Scenario {
  const durationMs = fault === 'Redis stopped 20 s' ? OUTAGE_RUN_MS : FAULT_RUN_MS;
  // Without headers the count alone must cope with unknown outcomes. A bucket keeps them: nothing else reveals the tokens
  // that it saved while the count was lost.
  const announces = fault === 'foreign, announced' || (policy === 'token bucket' && fault === 'Redis restarted empty');
  return scenario({ policy, fault, durationMs, announces });
}

/** Other limiters run without faults only: faults make none of them better. */
function comparisons(): Scenario[] {
  const policies: PolicyName[] = ['count-then-block', 'sliding window', 'token bucket'];
  const loads = policies.flatMap((policy) => [scenario({ policy, pods: 1 }), scenario({ policy })]);
  return [...loads, scenario({ load: 'bursty' })].flatMap(({ policy, pods, load }) =>
    OTHER_LIMITERS.map((limiter) => scenario({ policy, pods, load, limiter })),
  );
}

export function scenario(but: Partial<Scenario>): Scenario {
  return { ...DEFAULTS, ...but };
}

/** A limit, as the provider counts and announces it. */
export interface ProviderLimit {
  policy: LimitedPolicy;
  unit: Unit;
  /** Whether it sends `RateLimit` headers. */
  isAnnounced: boolean;
}

/** All limits of the provider; the policy is the last. */
export function providerLimitsOf(account: Scenario): ProviderLimit[] {
  const { limits, areAnnounced } = HIDDEN_LIMITS[account.hidden];
  const hidden = limits.map((policy) => ({ policy, unit: 'requests' as const, isAnnounced: areAnnounced }));
  const unit = unitOf(account);
  return [...hidden, ...limitsOf(account).map((policy) => ({ policy, unit, isAnnounced: account.announces }))];
}

/** All limits that the gateways know; the policy is the last. */
export function limitsOf(account: Pick<Scenario, 'policy' | 'limit' | 'others'>): LimitedPolicy[] {
  return [...OTHER_LIMITS[account.others], policyOf(account)];
}

export function unitOf({ policy }: Pick<Scenario, 'policy'>): Unit {
  return policy === 'tokens' ? 'tokens' : 'requests';
}

/** The policy in the terms of the engine and the provider. */
export function policyOf({ policy, limit }: Pick<Scenario, 'policy' | 'limit'>): LimitedPolicy {
  const chosen = { ...POLICIES, ...SPECIAL_POLICIES }[policy];
  if (limit === undefined) return chosen;
  return chosen.policy === 'token-bucket' ? { ...chosen, capacity: limit } : { ...chosen, limit };
}

/** `--only` searches this name. */
export function nameOf({ limit, pods, load, fault, limiter, announces, ...account }: Scenario): string {
  const headers = announces ? 'headers' : 'no headers';
  const own = limit === undefined ? load : `${load}, ${limit}`;
  return [limiter, limitsIn(account), `${pods} ${pods === 1 ? 'pod' : 'pods'}`, own, headers, fault].join(' · ');
}

/** The limits, and how well tokens are estimated. */
export function limitsIn({
  policy,
  others,
  hidden,
  estimate,
}: Pick<Scenario, 'policy' | 'others' | 'hidden' | 'estimate'>): string {
  const beside = [others, hidden].filter((name) => name !== 'none');
  const estimated = estimate === undefined ? [] : [`estimated ${estimate} times`];
  return [policy, ...beside, ...estimated].join(' ');
}
