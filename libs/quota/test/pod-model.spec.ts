import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { Quota } from '../src/quota.js';
import { type MutantName, mutated, MUTANTS } from './pod-mutants.js';
import { PodModel } from './pod-model.js';
import { type ScenarioName, SCENARIOS } from './pod-scenarios.js';
import { play, storms } from './pod-storm.js';
import { BrokenPromise } from './broken-promise.js';
import { WrongClock } from './wrong-clock.js';

const RUNS = Number(process.env['POD_RUNS'] ?? 40);
const SEED = Number(process.env['POD_SEED'] ?? 1);
/** Broken pods do not get better by waiting, unbroken ones may be slow on a busy machine. */
const IMPATIENT = { patienceMs: 500 };

/** The promise that was broken. */
async function brokenBy(scenario: ScenarioName, engine: typeof Quota, patience = {}): Promise<string | undefined> {
  const { world, play: playIt } = SCENARIOS[scenario];
  try {
    await PodModel.run(playIt, { world, engine, ...patience });
    return undefined;
  } catch (error) {
    if (error instanceof BrokenPromise) return error.message;
    throw error;
  }
}

/** Raises storms until one breaks a promise. Time is real, so that a storm is not the same twice: none is shrunk. */
async function firstBroken({ runs, seed }: { runs: number; seed: number }): Promise<string | undefined> {
  const property = fc.asyncProperty(storms, (storm) =>
    PodModel.run((model) => play(model, storm), { world: storm.world, engine: Quota }),
  );
  const result = await fc.check(property, { numRuns: runs, seed, endOnFailure: true });
  return result.failed ? `${String(result.errorInstance)}\n${JSON.stringify(result.counterexample)}` : undefined;
}

describe('a pod', () => {
  it.each(Object.keys(SCENARIOS) as ScenarioName[])('%s', async (scenario) => {
    expect(await brokenBy(scenario, Quota)).toBeUndefined();
  });
});

describe('pods in a storm', () => {
  it('grant no more than the limit, leave nobody waiting and lose no slot', async () => {
    expect(await firstBroken({ runs: RUNS, seed: SEED })).toBeUndefined();
  });

  it('do so whatever the wall clock says, and do not look at it', async () => {
    const clock = new WrongClock();
    try {
      expect(await firstBroken({ runs: Math.ceil(RUNS / 5), seed: SEED + 1 })).toBeUndefined();
      expect(clock.readers).toEqual([]);
    } finally {
      clock.setRight();
    }
  });
});

describe('a broken pod is caught: that', () => {
  it.each(Object.keys(MUTANTS) as MutantName[])('%s', async (name) => {
    const { scenario, breaks } = MUTANTS[name];
    expect(await brokenBy(scenario, await mutated(name), IMPATIENT)).toBe(breaks);
  });
});
