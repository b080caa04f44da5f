import type { Load } from './arrivals.js';
import type { FaultName } from './faults.js';
import type { LimitedPolicy } from '#quota';
import { STRATEGIES, type StrategyName } from '../testbed/strategies.js';

const LIMIT = 50;
const PERIOD_MS = 2_000;
const REFILL_PER_SECOND = 25;

export const POLICIES = {
  'count-then-block': { policy: 'count-then-block', limit: LIMIT, blockMs: PERIOD_MS, startsAt: 'last-accept' },
  'block at refusal': { policy: 'count-then-block', limit: LIMIT, blockMs: PERIOD_MS, startsAt: 'first-refusal' },
  'fixed window': {
    policy: 'fixed-window',
    limit: LIMIT,
    windowMs: PERIOD_MS,
    anchor: 'first-accept',
    clockSkewMs: 0,
  },
  // Provider and Redis run on one machine, and so on one clock; each rounds it.
  'fixed by clock': { policy: 'fixed-window', limit: LIMIT, windowMs: PERIOD_MS, anchor: 'clock', clockSkewMs: 5 },
  'sliding window': { policy: 'sliding-window', limit: LIMIT, windowMs: PERIOD_MS },
  'token bucket': { policy: 'token-bucket', capacity: LIMIT, refillPerSecond: REFILL_PER_SECOND },
} as const satisfies Record<string, LimitedPolicy>;
export type PolicyName = keyof typeof POLICIES;

export interface Scenario {
  policy: PolicyName;
  /** Instead of the policy's own: how many the provider accepts. */
  limit?: number;
  pods: number;
  load: Load;
  perSecond: number;
  durationMs: number;
  fault: FaultName;
  /** Whether the provider sends `RateLimit` headers. */
  announces: boolean;
  /** So many messages are always under way. */
  atOnce?: number;
  /** What the provider takes to answer. */
  latencyMs: number;
  strategy: StrategyName;
}

const USUAL = {
  policy: 'count-then-block',
  pods: 4,
  load: 'steady',
  perSecond: 50,
  durationMs: 10_000,
  fault: 'none',
  announces: true,
  latencyMs: 0,
  strategy: 'octo',
} as const satisfies Scenario;

/** Time to get over the longest fault, and for two windows more. */
const FAULT_RUN_MS = 16_000;
const OUTAGE_RUN_MS = 36_000;

const ALL_POLICIES = Object.keys(POLICIES) as PolicyName[];
const OTHER_STRATEGIES = (Object.keys(STRATEGIES) as StrategyName[]).filter((name) => name !== 'octo');

/** In one run the free provider refuses nobody, many messages come at once, and every one of them needs a permit. */
const CROWD = usual({ pods: 1, limit: 1_000_000, atOnce: 64, perSecond: 1_000, latencyMs: 20 });

/** So large a quota that permits are taken ahead of their callers, until it comes to its end. */
const LARGE = { pods: 2, limit: 2_000, perSecond: 400 };

/** What is run: not all that could be combined, but each policy with each number of pods, load and telling fault. */
export function scenariosOf({ quick }: { quick: boolean }): Scenario[] {
  return quick
    ? quickScenarios()
    : [...calmScenarios(), CROWD, ...largeScenarios(), ...faultScenarios(), ...comparisons()];
}

function quickScenarios(): Scenario[] {
  // Ends while everything is blocked, so that no window is cut in half.
  const durationMs = 8_000;
  return [
    usual({ pods: 1, durationMs }),
    ...ALL_POLICIES.map((policy) => usual({ policy, durationMs })),
    ...OTHER_STRATEGIES.map((strategy) => usual({ strategy, durationMs })),
    withFault('count-then-block', 'pod killed'),
    withFault('count-then-block', 'Redis restarted empty'),
  ];
}

function calmScenarios(): Scenario[] {
  const byPods = ALL_POLICIES.flatMap((policy) => [1, 4, 8].map((pods) => usual({ policy, pods })));
  const loads = (['bursty', 'idle, then burst'] as const).flatMap((load) =>
    ALL_POLICIES.map((policy) => usual({ policy, load, durationMs: durationOf({ policy, load }) })),
  );
  const unannounced = ALL_POLICIES.map((policy) => usual({ policy, announces: false }));
  return [...byPods, usual({ pods: 2 }), ...loads, ...unannounced];
}

/** So that no run ends amid a window: there, whoever is one message late in each window before is many late. */
function durationOf({ policy, load }: Pick<Scenario, 'policy' | 'load'>): number {
  const isBlocking = policy === 'count-then-block' || policy === 'block at refusal';
  return load === 'idle, then burst' && isBlocking ? 9_000 : USUAL.durationMs;
}

function largeScenarios(): Scenario[] {
  const policies: PolicyName[] = ['count-then-block', 'fixed window', 'sliding window', 'token bucket'];
  return policies.map((policy) => usual({ ...LARGE, policy }));
}

function faultScenarios(): Scenario[] {
  const every: FaultName[] = [
    'pod killed',
    'pod paused 2 s',
    'Redis restarted with data',
    'Redis restarted empty',
    'Redis paused 1.5 s',
    'Redis stopped 20 s',
    'slow provider',
    'lost replies',
    'foreign, announced',
    'foreign, unannounced',
  ];
  const telling: FaultName[] = ['pod killed', 'Redis restarted empty', 'lost replies', 'foreign, announced'];
  return ALL_POLICIES.flatMap((policy) =>
    (policy === 'count-then-block' ? every : telling).map((fault) => withFault(policy, fault)),
  );
}

function withFault(policy: PolicyName, fault: FaultName): Scenario {
  const durationMs = fault === 'Redis stopped 20 s' ? OUTAGE_RUN_MS : FAULT_RUN_MS;
  // Announcements would tell what an unknown send came to: without them it is the count that must cope. Only tokens saved
  // while the count was lost cannot be found otherwise.
  const announces = fault === 'foreign, announced' || (policy === 'token bucket' && fault === 'Redis restarted empty');
  return usual({ policy, fault, durationMs, announces });
}

/** The others are shown where nothing goes wrong: it does not get better with faults. */
function comparisons(): Scenario[] {
  const policies: PolicyName[] = ['count-then-block', 'sliding window', 'token bucket'];
  const loads = policies.flatMap((policy) => [usual({ policy, pods: 1 }), usual({ policy })]);
  return [...loads, usual({ load: 'bursty' })].flatMap(({ policy, pods, load }) =>
    OTHER_STRATEGIES.map((strategy) => usual({ policy, pods, load, strategy })),
  );
}

function usual(but: Partial<Scenario>): Scenario {
  return { ...USUAL, ...but };
}

/** As the engine and the provider are told it. */
export function policyOf({ policy, limit }: Pick<Scenario, 'policy' | 'limit'>): LimitedPolicy {
  const chosen = POLICIES[policy];
  if (limit === undefined) return chosen;
  return chosen.policy === 'token-bucket' ? { ...chosen, capacity: limit } : { ...chosen, limit };
}

/** What `--only` looks in. */
export function nameOf({ policy, limit, pods, load, fault, strategy, atOnce, announces }: Scenario): string {
  const headers = announces ? 'headers' : 'no headers';
  const own = limit === undefined ? load : `${load}, ${limit}`;
  const crowd = atOnce === undefined ? own : `${atOnce} at once`;
  return [strategy, policy, `${pods} ${pods === 1 ? 'pod' : 'pods'}`, crowd, headers, fault].join(' · ');
}
