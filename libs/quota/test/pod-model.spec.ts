import { afterEach, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { InvariantViolation } from './invariant.js';
import { PodModel } from './pod-model.js';
import { type MutantName, MUTANTS, repair } from './pod-mutants.js';
import { type Scenario, type ScenarioName, SCENARIOS, withWrongWallClock } from './pod-scenarios.js';
import { play, storms } from './pod-storm.js';

const RUNS = Number(process.env['POD_RUNS'] ?? 40);
const SEED = Number(process.env['POD_SEED'] ?? 1);
/** Waiting does not help a broken pod; an intact one may be slow on a busy machine. */
const IMPATIENT = { patienceMs: 500 };

/** The violated invariant, or undefined. */
async function violationOf(scenario: ScenarioName, patience = {}): Promise<string | undefined> {
  const { world, play: playScenario }: Scenario = SCENARIOS[scenario];
  try {
    await PodModel.run((model) => playScenario(model, model.pod()), { ...world }, patience);
    return undefined;
  } catch (error) {
    if (error instanceof InvariantViolation) return error.message;
    throw error;
  }
}

/** Plays storms until one violates an invariant. Time is real: a storm cannot be repeated, so none is shrunk. */
async function findViolation({ runs, seed }: { runs: number; seed: number }): Promise<string | undefined> {
  const property = fc.asyncProperty(storms, (storm) => PodModel.run((model) => play(model, storm), storm.world));
  const result = await fc.check(property, { numRuns: runs, seed, endOnFailure: true });
  return result.failed ? `${String(result.errorInstance)}\n${JSON.stringify(result.counterexample)}` : undefined;
}

describe('a pod', () => {
  it.each(Object.keys(SCENARIOS) as ScenarioName[])('%s', async (scenario) => {
    expect(await violationOf(scenario)).toBeUndefined();
  });
});

describe('pods under random events', () => {
  it('grant no more than the limit, answer every caller and lose no slot', async () => {
    expect(await findViolation({ runs: RUNS, seed: SEED })).toBeUndefined();
  });

  it('do so while the wall clock shows random times', () =>
    withWrongWallClock(async () => {
      expect(await findViolation({ runs: Math.ceil(RUNS / 5), seed: SEED + 1 })).toBeUndefined();
    }));
});

describe('a faulty pod violates invariant', () => {
  afterEach(repair);

  it.each(Object.keys(MUTANTS) as MutantName[])('%s', async (name) => {
    const { scenario, violates, breakIt } = MUTANTS[name];
    breakIt();
    expect(await violationOf(scenario, IMPATIENT)).toBe(violates);
  });
});
