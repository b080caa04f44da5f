import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { Redis } from 'ioredis';
import { STEP_LUA } from '../src/quota-store.js';
import { CALM, type Plan, planOf, QuotaModel, STORMY } from './quota-model.js';

const RUNS = Number(process.env['MODEL_RUNS'] ?? 150);

let redis: Redis;
beforeAll(() => {
  redis = new Redis(process.env['TEST_REDIS_URL'] ?? '');
});
afterAll(() => redis.quit());

/** Runs plans until one breaks a promise; the message of the broken one, shrunk. */
async function firstBroken(plans: fc.Arbitrary<Plan>, options: { lua?: string; runs: number; seed: number }) {
  const connection = options.lua === undefined ? redis : redis.duplicate();
  const property = fc.asyncProperty(plans, (plan) => new QuotaModel(connection, plan, options.lua).run());
  const result = await fc.check(property, {
    numRuns: options.runs,
    seed: options.seed,
    endOnFailure: options.lua !== undefined,
  });
  if (connection !== redis) await connection.quit();
  return result.failed ? `${String(result.errorInstance)}\n${JSON.stringify(result.counterexample)}` : undefined;
}

describe('the quota engine, whatever the order of events', () => {
  it('runs into no refusal and uses every window when every answer arrives', async () => {
    expect(await firstBroken(planOf(CALM), { runs: RUNS, seed: 1 })).toBeUndefined();
  });

  it('runs into one refusal at most per unknown when pods crash, answers and counts are lost', async () => {
    expect(await firstBroken(planOf(STORMY), { runs: RUNS, seed: 2 })).toBeUndefined();
  });
});

describe('a broken engine is caught', () => {
  it.each([
    ['grants without looking', CALM, 'granted = math.min(want, grantable())', 'granted = want'],
    ['credits settlements of older epochs', STORMY, 'if tonumber(ARGV[i]) == q.epoch then', 'if true then'],
    ['applies a repeated step again', CALM, 'local repeated = lastSeq and', 'local repeated = false and'],
    ['leaves out the guard', CALM, 'blockMs + tonumber(ARGV[7])', 'blockMs'],
    ['counts the block from before the last answer', CALM, 'math.max(q.lastAnswerMs, answeredMs)', 'answeredMs - 40'],
    ['closes the window with requests on their way', CALM, 'used() >= limit and outstanding() == 0', 'used() >= limit'],
    ['reopens half-way', CALM, 'now >= q.blockedUntilMs and', 'now >= q.blockedUntilMs - closedMs / 2 and'],
    ['lets the clock run backwards', CALM, 'if now < q.clockMs then', 'if false then'],
    ['forgets to give slots back', CALM, 'q.refunded + notSent,', 'q.refunded,'],
    ['never gives up the permits of the dead', STORMY, 'if outstanding() > 0 and now >= q.expiresMs', 'if false'],
    ['takes a late settlement for one on its way', STORMY, 'tonumber(ARGV[i + 1]) < q.generation', 'false'],
    [
      'gives unknowns back',
      STORMY,
      'return q.granted - q.refunded end',
      'return q.granted - q.refunded - q.unknown end',
    ],
    ['sends at full speed after unknowns', STORMY, 'q.refused > 0 and 0 or doubt', '0'],
    ['takes a forgotten count for a fresh one', STORMY, 'if not isFirst then', 'if false then'],
    ['loses the epoch it has forgotten', STORMY, 'start(math.max(knownEpoch + 1, q.epoch + 1, now), 0)', 'start(1, 0)'],
  ])('that %s', async (_what, world, from, to) => {
    expect(STEP_LUA).toContain(from);
    const lua = STEP_LUA.replace(from, () => to);
    expect(await firstBroken(planOf(world), { lua, runs: 1_000, seed: 3 })).toContain('BrokenPromise');
  });
});
