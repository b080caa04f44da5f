import { describe, expect, it } from '@jest/globals';
import { STEP_SCRIPTS } from '../src/store/quota-store.js';
import { findViolation } from './find-violation.js';
import { CALM, CRASHING, FAILING_OVER, LOSSY, type PolicyCase, planOf, STORMY, type World } from './plan.js';

/** A fault in the script, and the policy and world in which it violates an invariant. */
interface Mutant {
  /** The invariant, by its number in docs/quota.md, and the fault. */
  name: string;
  policy?: PolicyCase;
  world?: World;
  /** Of the random plans: one that finds the fault among the first of them. */
  seed?: number;
  /** Lua that overrides functions and values of the script at the line `--@faults`. */
  fault: string;
}

/** Replaces a function of the script; the new one may call the old one as `intact`. */
const override = (name: string, body: string): string => `do local intact = ${name}; ${name} = ${body} end`;
/** Changes every group of settlements, `s`. */
const everySettlement = (change: string): string =>
  override('settlementAt', `function(i) local s = intact(i); ${change}; return s end`);
/** Adds statements after the step has read its input and before it settles, times out and grants permits. */
const beforeSettlements = (change: string): string =>
  override('policy.beforeSettlements', `function() intact(); ${change} end`);

const MUTANTS: Mutant[] = [
  {
    name: '1 limit: grants whatever a pod wants',
    fault: override('grantable', 'function() return want end'),
  },
  {
    name: '1 limit: returns the slots of unknowns',
    world: STORMY,
    fault: override('policy.used', 'function() return intact() - q.unknown end'),
  },
  {
    name: '1 limit: does not count outstanding permits',
    policy: 'sliding-window',
    fault: override('policy.used', 'function() return intact() - outstanding() end'),
  },
  {
    name: '1 limit: has one token more than the bucket',
    policy: 'token-bucket',
    fault: override('policy.grantable', 'function() return intact() + 1 end'),
  },
  {
    name: '2 no refusal: does not carry requests in flight into the next window',
    policy: 'fixed-window by the clock',
    fault: override('turn', 'function() intact(0) end'),
  },
  {
    name: '2 no refusal: counts permits granted at a boundary on one side only',
    policy: 'fixed-window by the clock',
    fault: override('policy.noteGrant', 'function(n) local carried = q.carried; intact(n); q.carried = carried end'),
  },
  {
    name: '2 no refusal: takes requests in flight for requests that never arrived',
    policy: 'fixed-window by the clock',
    fault: override('lastUnknownMs', 'function() return 0 end'),
  },
  {
    name: '2 no refusal: takes unannounced requests for announced ones',
    seed: 157,
    policy: 'fixed-window by the clock',
    fault: override('resolveUnknown', 'function(n) local old = q.untold; q.untold = 0; intact(n); q.untold = old end'),
  },
  {
    name: '2 no refusal: trusts two clocks to agree',
    policy: 'fixed-window by the clock',
    fault: override(
      'followClock',
      'function() intact(); q.beganMinMs, q.beganMaxMs = q.beganMinMs + option, q.beganMaxMs - option end',
    ),
  },
  {
    name: '2 no refusal: frees a slot one period after the request, not after the answer',
    policy: 'sliding-window',
    fault: override('take', 'function(n, atMs) intact(n, atMs - guardMs - 60) end'),
  },
  {
    name: '2 no refusal: takes tokens at the time of the request, not of the answer',
    policy: 'token-bucket',
    fault: override('take', 'function(n, atMs) intact(n, atMs - 60) end'),
  },
  {
    name: '2 one refusal per unknown: sends at full speed after unknowns',
    world: STORMY,
    fault: override('policy.advance', 'function() intact(); q.probation = 0 end'),
  },
  {
    name: '2 one refusal per window: sends two probes',
    policy: 'count-then-block from the first refusal',
    fault: override('maxGrants', 'function() return intact() + 1 end'),
  },
  {
    name: '2 one refusal per unknown: assumes that unknowns never arrived',
    seed: 15,
    world: LOSSY,
    fault: override('resolveUnknown', 'function() q.refunded, q.unknown = q.refunded + q.unknown, 0 end'),
  },
  {
    name: '4 block: omits the guard',
    fault: 'guardedPeriodMs = periodMs',
  },
  {
    name: '4 block: starts the block before the last answer',
    fault: override('policy.settle', 'function(s) q.lastAnswerMs = s.answeredMs - 40; intact(s) end'),
  },
  {
    name: '4 block: closes the window while requests are in flight',
    fault: override(
      'policy.advance',
      'function() local real = outstanding; outstanding = function() return 0 end; intact(); outstanding = real end',
    ),
  },
  {
    name: '4 block: reopens after half the block',
    fault: override(
      'policy.advance',
      'function() local real = now; now = now + guardedPeriodMs / 2; intact(); now = real end',
    ),
  },
  {
    name: '5 once: applies a resent step again',
    fault: beforeSettlements('isRepeated = false'),
  },
  {
    name: '5 older epoch: credits settlements of older epochs',
    world: STORMY,
    fault: everySettlement('s.epoch = q.epoch'),
  },
  {
    name: '5 once: takes a late settlement for one of an outstanding permit',
    seed: 12,
    world: STORMY,
    fault: everySettlement('s.isTimedOut = false'),
  },
  {
    name: '6 epoch: starts again at 1 after the count was forgotten',
    world: STORMY,
    fault: override('startEpoch', 'function(epoch) intact(epoch == q.epoch + 1 and epoch or 1) end'),
  },
  {
    name: '6 block: lets the clock run backwards',
    fault: 'q.clockMs = 0',
  },
  {
    name: '6 forgotten: takes a forgotten count for a fresh one',
    world: STORMY,
    fault: override('policy.assumeForgotten', 'function() end'),
  },
  {
    name: '6 failover: takes an older replica for the master',
    seed: 16,
    policy: 'sliding-window',
    world: FAILING_OVER,
    fault: 'recordedSeq = 0',
  },
  {
    name: '6 failover: does not confirm that it recorded a resent step',
    seed: 2,
    world: FAILING_OVER,
    fault: override('stateAndWait', 'function() isRecorded = isRecorded and not isRepeated; return intact() end'),
  },
  {
    name: "7 clocks: takes an answer's age for its time",
    fault: everySettlement('s.answeredMs = now - s.answeredMs'),
  },
  {
    name: '9 all used: does not return slots',
    fault: everySettlement('s.notSent = 0'),
  },
  {
    name: '9 reopening: waits twice as long',
    fault: 'guardedPeriodMs = 2 * guardedPeriodMs',
  },
  {
    name: '10 crashed pods: never times out their permits',
    world: STORMY,
    fault: beforeSettlements('q.agesMs = now + 1'),
  },
  {
    name: '10 crashed pods: times out their permits only when demand pauses',
    policy: 'sliding-window',
    world: CRASHING,
    fault: beforeSettlements('q.agesMs = q.expiresMs'),
  },
];

/** Some faults need hundreds of plans, which take minutes on a busy machine. */
const SEARCH_MS = 600_000;

describe('a faulty step script violates invariant', () => {
  it.each(MUTANTS)(
    '$name',
    async ({ policy = 'count-then-block', world = CALM, seed = 3, fault }) => {
      const name = policy.replace(/ .*/, '') as keyof typeof STEP_SCRIPTS;
      const script = STEP_SCRIPTS[name].replace('--@faults\n', () => `${fault}\n`);
      const scripts = { ...STEP_SCRIPTS, [name]: script };
      expect(await findViolation(planOf(policy, world), { scripts, runs: 2_000, seed })).toMatch(/^InvariantViolation/);
    },
    SEARCH_MS,
  );
});
