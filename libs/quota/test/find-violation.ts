import fc from 'fast-check';
import { Redis } from 'ioredis';
import type { StepScripts } from '../src/store/quota-store.js';
import type { Plan } from './plan.js';
import { QuotaModel } from './quota-model.js';

/** Runs plans until one breaks a promise; what happened in the one that did, as short as it gets, or undefined. */
export async function firstBroken(
  plans: fc.Arbitrary<Plan>,
  { scripts, runs, seed }: { scripts?: StepScripts; runs: number; seed: number },
): Promise<string | undefined> {
  const redis = new Redis(process.env['TEST_REDIS_URL'] ?? '');
  const property = fc.asyncProperty(plans, (plan) => new QuotaModel(redis, plan, scripts).run());
  // A script broken on purpose needs no short story.
  const result = await fc.check(property, { numRuns: runs, seed, endOnFailure: scripts !== undefined });
  await redis.quit();
  return result.failed ? `${String(result.errorInstance)}\n${JSON.stringify(result.counterexample)}` : undefined;
}
