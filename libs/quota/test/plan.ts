import fc from 'fast-check';
import type { LimitedPolicy } from '../src/policy.js';

/** The events of a run. `pod` counts modulo the number of pods. */
export type Action =
  | { do: 'reserve'; pod: number; want: number; loseReply: boolean }
  | { do: 'send'; pod: number; outMs: number; backMs: number; loseAnswer: boolean }
  | { do: 'returnPermit'; pod: number }
  | { do: 'resend'; pod: number }
  | { do: 'crash'; pod: number }
  | { do: 'pause'; pod: number; ms: number }
  | { do: 'forget' }
  | { do: 'failOver' }
  | { do: 'setClockBack'; ms: number }
  | { do: 'setClockForward'; ms: number }
  | { do: 'foreign' }
  | { do: 'tick'; ms: number };

export interface Plan {
  pods: number;
  policy: LimitedPolicy;
  drift: number;
  /** How far the provider's clock is ahead of that of Redis, within the policy's tolerance. */
  skewMs: number;
  /** Whether the provider announces what remains, and how it rounds to whole seconds. */
  announces: (typeof ANNOUNCES)[number];
  /** After the actions, demand continues without a pause; otherwise all permits are settled first. */
  neverPauses: boolean;
  actions: Action[];
}

const pod = fc.nat(7);
const want = fc.integer({ min: 1, max: 4 });
const networkMs = fc.integer({ min: 0, max: 90 });
const never = fc.constant(false);

const ACTIONS = {
  reserve: fc.record({ do: fc.constant('reserve'), pod, want, loseReply: never }),
  lossyReserve: fc.record({ do: fc.constant('reserve'), pod, want, loseReply: fc.boolean() }),
  send: fc.record({ do: fc.constant('send'), pod, outMs: networkMs, backMs: networkMs, loseAnswer: never }),
  lossySend: fc.record({ do: fc.constant('send'), pod, outMs: networkMs, backMs: networkMs, loseAnswer: fc.boolean() }),
  returnPermit: fc.record({ do: fc.constant('returnPermit'), pod }),
  resend: fc.record({ do: fc.constant('resend'), pod }),
  crash: fc.record({ do: fc.constant('crash'), pod }),
  pause: fc.record({ do: fc.constant('pause'), pod, ms: fc.integer({ min: 50, max: 1_000 }) }),
  forget: fc.record({ do: fc.constant('forget') }),
  failOver: fc.record({ do: fc.constant('failOver') }),
  setClockBack: fc.record({ do: fc.constant('setClockBack'), ms: fc.integer({ min: 1, max: 3_600_000 }) }),
  setClockForward: fc.record({ do: fc.constant('setClockForward'), ms: fc.integer({ min: 1, max: 3_600_000 }) }),
  foreign: fc.record({ do: fc.constant('foreign') }),
  tick: fc.record({ do: fc.constant('tick'), ms: fc.integer({ min: 0, max: 120 }) }),
  longTick: fc.record({ do: fc.constant('tick'), ms: fc.integer({ min: 200, max: 800 }) }),
} as const;

export type World = Partial<Record<keyof typeof ACTIONS, number>>;

/** Only timing varies: every answer arrives. Slots may be returned, steps may be resent. */
export const CALM: World = { reserve: 6, send: 10, returnPermit: 1, resend: 1, tick: 6, longTick: 2, setClockBack: 1 };
/** Like CALM, but requests are almost always in flight. */
export const BUSY: World = { reserve: 3, send: 8, tick: 4 };
/** Redis fails over repeatedly. */
export const FAILING_OVER: World = { lossyReserve: 8, send: 10, failOver: 4, tick: 6 };
/** Pods crash with permits in hand. */
export const CRASHING: World = { reserve: 8, send: 4, crash: 2, tick: 3 };
/** Many answers are lost. */
export const LOSSY: World = { reserve: 8, lossySend: 16, tick: 6, longTick: 1 };
/** Pods crash and pause; replies, answers and counts are lost. */
export const STORMY: World = {
  lossyReserve: 6,
  lossySend: 10,
  returnPermit: 1,
  resend: 1,
  crash: 1,
  pause: 1,
  forget: 1,
  failOver: 1,
  setClockForward: 0.2,
  tick: 6,
  longTick: 2,
};
/** Like CALM, but another client uses the same account, and the provider announces what remains. */
export const SHARED: World = { reserve: 6, send: 10, returnPermit: 1, foreign: 3, tick: 6, longTick: 2 };

const actionsOf = (world: World): fc.Arbitrary<Action> =>
  fc.oneof(
    ...Object.entries(world).map(([name, weight]) => ({
      weight: weight * 10,
      arbitrary: ACTIONS[name as keyof typeof ACTIONS] as fc.Arbitrary<Action>,
    })),
  );

const limit = fc.integer({ min: 1, max: 6 });
const periodMs = fc.constantFrom(300, 1_000, 20_000);

/** Every policy, with small numbers. */
export const POLICIES = {
  'count-then-block': fc.record({
    policy: fc.constant('count-then-block'),
    limit,
    blockMs: periodMs,
    startsAt: fc.constant('last-accept'),
  }),
  'count-then-block from the first refusal': fc.record({
    policy: fc.constant('count-then-block'),
    limit,
    blockMs: periodMs,
    startsAt: fc.constant('first-refusal'),
  }),
  'fixed-window': fc.record({
    policy: fc.constant('fixed-window'),
    limit,
    windowMs: periodMs,
    anchor: fc.constant('first-accept'),
    clockSkewMs: fc.constant(0),
  }),
  'fixed-window by the clock': fc.record({
    policy: fc.constant('fixed-window'),
    limit,
    windowMs: periodMs,
    anchor: fc.constant('clock'),
    clockSkewMs: fc.constant(50),
  }),
  'sliding-window': fc.record({ policy: fc.constant('sliding-window'), limit, windowMs: periodMs }),
  'token-bucket': fc.record({
    policy: fc.constant('token-bucket'),
    capacity: limit,
    refillPerSecond: fc.constantFrom(0.5, 3, 20),
  }),
} as const satisfies Record<string, fc.Arbitrary<LimitedPolicy>>;
export type PolicyCase = keyof typeof POLICIES;

export const planOf = (policy: PolicyCase, world: World): fc.Arbitrary<Plan> => {
  const followsClock = policy === 'fixed-window by the clock';
  // Windows that follow the clock require a right clock: there, do not set it.
  const { setClockBack = 0, setClockForward = 0, ...others } = world;
  return fc.record({
    pods: fc.integer({ min: 1, max: 4 }),
    policy: POLICIES[policy] as fc.Arbitrary<LimitedPolicy>,
    drift: fc.constantFrom(0, 1e-4, -1e-4),
    skewMs: followsClock ? fc.integer({ min: -49, max: 49 }) : fc.constant(0),
    announces: fc.constantFrom(...(world.foreign === undefined ? ANNOUNCES : ANNOUNCES.slice(2))),
    neverPauses: fc.integer({ min: 0, max: 4 }).map((draw) => draw === 4),
    actions: fc.array(actionsOf(followsClock ? others : { setClockBack, setClockForward, ...others }), {
      minLength: 20,
      maxLength: 90,
    }),
  });
};

const ANNOUNCES = ['nothing', 'in every other answer', 'rounded up', 'rounded down'] as const;
