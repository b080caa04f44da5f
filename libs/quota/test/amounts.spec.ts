import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { Redis } from 'ioredis';
import type { LimitedPolicy } from '../src/policy.js';
import { STEP_SCRIPTS, type StepScripts } from '../src/store/quota-store.js';
import { accepted, newProvider, type Settled } from './step-harness.js';

const runs = Number(process.env['MODEL_RUNS'] ?? 40);
const seed = Number(process.env['MODEL_SEED'] ?? 1);
const LIMIT = 100;
const PERIOD_MS = 1_000;
const POLICIES: LimitedPolicy[] = [
  { policy: 'sliding-window', limit: LIMIT, windowMs: PERIOD_MS },
  { policy: 'fixed-window', limit: LIMIT, windowMs: PERIOD_MS, anchor: 'clock', clockSkewMs: 0 },
  { policy: 'token-bucket', capacity: LIMIT, refillPerSecond: LIMIT },
];

let redis: Redis;
beforeAll(() => {
  redis = new Redis(process.env['TEST_REDIS_URL'] ?? '');
});
afterAll(() => redis.quit());

interface Message {
  pauseMs: number;
  estimate: number;
  actual: number;
  /** Answered after so many further messages. */
  answeredAfter: number;
}

const messages = fc.array(
  fc.record({
    pauseMs: fc.constantFrom(0, 20, 120, 700),
    estimate: fc.integer({ min: 1, max: 60 }),
    actual: fc.integer({ min: 1, max: 60 }),
    answeredAfter: fc.nat(3),
  }),
  { minLength: 10, maxLength: 40 },
);

/** By how much the provider's limit is exceeded at most, beyond what requests in flight use above their estimates. */
async function excessOf(policy: LimitedPolicy, plan: readonly Message[], scripts: StepScripts): Promise<number> {
  const { step, clock } = await newProvider(redis, policy, 1_000_000, scripts);
  const log: { atMs: number; actual: number }[] = [];
  let inFlight: (Message & { epoch: number; leftToGo: number; sentAtMs: number })[] = [];
  let excess = -Infinity;
  for (const message of plan) {
    clock.ms += message.pauseMs;
    const answered = inFlight.filter(({ leftToGo }) => leftToGo <= 0);
    inFlight = inFlight.filter((one) => !answered.includes(one));
    for (const one of inFlight) one.leftToGo -= 1;
    const settled = answered.map(({ epoch, estimate: amount, actual: used, sentAtMs }): Settled => ({
      epoch,
      settlement: { outcome: 'accepted' },
      amount,
      used,
      grantedAgoMs: clock.ms - sentAtMs,
    }));
    const { estimate } = message;
    const { granted, epoch } = await step({ want: estimate, least: estimate, settled });
    if (granted < estimate) continue;
    inFlight.push({ ...message, epoch, leftToGo: message.answeredAfter, sentAtMs: clock.ms });
    log.push({ atMs: clock.ms, actual: message.actual });
    const beyond = inFlight.reduce((sum, one) => sum + Math.max(0, one.actual - one.estimate), 0);
    excess = Math.max(excess, countedAt(policy, log, clock.ms) - LIMIT - beyond);
  }
  return excess;
}

/** What the provider has counted at a moment. */
function countedAt({ policy }: LimitedPolicy, log: readonly { atMs: number; actual: number }[], nowMs: number): number {
  const sumFrom = (fromMs: number): number =>
    log.reduce((sum, { atMs, actual }) => (atMs >= fromMs ? sum + actual : sum), 0);
  if (policy === 'fixed-window') return sumFrom(nowMs - (nowMs % PERIOD_MS));
  if (policy === 'sliding-window') return sumFrom(nowMs - PERIOD_MS + 1);
  // What the bucket lacks: it refills at the same pace all the time, and never holds more than the limit.
  const lacks = log.reduce(
    ({ missing, atMs: lastMs }, { atMs, actual }) => {
      const refilled = ((atMs - lastMs) * LIMIT) / PERIOD_MS;
      return { missing: Math.max(0, missing - refilled) + actual, atMs };
    },
    { missing: 0, atMs: 0 },
  );
  return lacks.missing;
}

const propertyOf = (policy: LimitedPolicy, scripts = STEP_SCRIPTS) =>
  fc.asyncProperty(messages, async (plan) => (await excessOf(policy, plan, scripts)) <= 0);

describe('invariant 13, amounts', () => {
  it.each(POLICIES)(
    'exceed no limit by more than requests in flight use beyond their estimates: $policy',
    async (policy) => {
      const { failed, counterexample } = await fc.check(propertyOf(policy), { numRuns: runs, seed });
      expect({ failed, counterexample }).toMatchObject({ failed: false });
    },
  );

  const everySettlement = (change: string): string =>
    `do local intact = settlementAt; settlementAt = function(i) local s = intact(i); ${change}; return s end end`;
  it.each([
    ['charges nothing beyond the estimate', everySettlement('s.charged = 0')],
    ['gives back twice what was not used', everySettlement('s.notSent = 2 * s.notSent')],
    ['does not ask for room', 'policy.grantable = function() return limit end'],
  ])('fail for a script that %s', async (_what, fault) => {
    const broken = (name: keyof StepScripts): string => STEP_SCRIPTS[name].replace('--@faults\n', () => `${fault}\n`);
    const scripts = { ...STEP_SCRIPTS, 'sliding-window': broken('sliding-window') };
    const [policy] = POLICIES;
    if (policy === undefined) throw new Error('unreachable: there are policies');
    const { failed } = await fc.check(propertyOf(policy, scripts), { numRuns: 1_000, seed: 1, endOnFailure: true });
    expect(failed).toBe(true);
  });
});

describe('what a provider announces to remain of an amount', () => {
  const message = { want: 10, least: 10, countsAmounts: true };
  const answer = (epoch: number, used: number, remaining: number): Settled => ({
    ...accepted(epoch, 1, { remaining }),
    amount: 10,
    used,
  });

  it.each(POLICIES)('is no second charge for requests that use more than estimated: $policy', async (policy) => {
    const { step } = await newProvider(redis, policy);
    const { epoch } = await step({ ...message, pod: 'a' });
    await step({ ...message, pod: 'b' });
    const first = await step({ ...message, pod: 'b', want: 0, settled: [answer(epoch, 30, LIMIT - 60)] });
    const second = await step({ ...message, pod: 'a', want: 0, settled: [answer(epoch, 30, LIMIT - 30)] });
    expect(first.foreign + second.foreign).toBe(0);
    // A bucket refills in between.
    expect(Math.abs(second.used - 60)).toBeLessThanOrEqual(1);
  });

  it.each(POLICIES)('is believed beyond what our requests can have used: $policy', async (policy) => {
    const { step } = await newProvider(redis, policy);
    const { epoch } = await step(message);
    const { used, foreign } = await step({ ...message, want: 0, settled: [answer(epoch, 30, LIMIT - 50)] });
    expect({ used: Math.round(used / 10), foreign: Math.round(foreign / 10) }).toEqual({ used: 5, foreign: 2 });
  });
});
