import { describe, expect, it } from '@jest/globals';
import { firstBroken } from './first-broken.js';
import { BUSY, CALM, type PolicyCase, planOf, POLICIES, SHARED, STORMY } from './plan.js';

const runs = Number(process.env['MODEL_RUNS'] ?? 60);
const seed = Number(process.env['MODEL_SEED'] ?? 1);
const cases = Object.keys(POLICIES) as PolicyCase[];

describe.each(cases)('the quota engine for %s, whatever the order of events', (policy) => {
  it('runs into no refusal and uses every window when every answer arrives', async () => {
    expect(await firstBroken(planOf(policy, CALM), { runs, seed })).toBeUndefined();
  });

  it('does so with requests on their way at any moment', async () => {
    expect(await firstBroken(planOf(policy, BUSY), { runs, seed })).toBeUndefined();
  });

  it('runs into one refusal at most per unknown when pods crash, answers and counts are lost', async () => {
    expect(await firstBroken(planOf(policy, STORMY), { runs, seed })).toBeUndefined();
  });

  it('makes room for somebody else who uses the same account, when the provider tells', async () => {
    expect(await firstBroken(planOf(policy, SHARED), { runs, seed })).toBeUndefined();
  });
});
