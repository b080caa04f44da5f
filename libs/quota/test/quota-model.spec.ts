import { describe, expect, it } from '@jest/globals';
import { findViolation } from './find-violation.js';
import { BUSY, CALM, type PolicyCase, planOf, POLICIES, SHARED, STORMY } from './plan.js';

const runs = Number(process.env['MODEL_RUNS'] ?? 60);
const seed = Number(process.env['MODEL_SEED'] ?? 1);
const cases = Object.keys(POLICIES) as PolicyCase[];

describe.each(cases)('the step script for %s, under random events', (policy) => {
  it('causes no refusal and uses every window when every answer arrives', async () => {
    expect(await findViolation(planOf(policy, CALM), { runs, seed })).toBeUndefined();
  });

  it('causes no refusal while requests are in flight at every moment', async () => {
    expect(await findViolation(planOf(policy, BUSY), { runs, seed })).toBeUndefined();
  });

  it('causes at most one refusal per unknown when pods crash and answers and counts are lost', async () => {
    expect(await findViolation(planOf(policy, STORMY), { runs, seed })).toBeUndefined();
  });

  it('leaves room for another client of the account that the provider announces', async () => {
    expect(await findViolation(planOf(policy, SHARED), { runs, seed })).toBeUndefined();
  });
});
