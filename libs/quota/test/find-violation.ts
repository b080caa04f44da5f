import fc from 'fast-check';
import { Redis } from 'ioredis';
import type { StepScripts } from '../src/store/quota-store.js';
import type { Plan } from './plan.js';
import { QuotaModel } from './quota-model.js';

/** Runs plans until one violates an invariant; returns the shortest such story, or undefined. */
export async function findViolation(
  plans: fc.Arbitrary<Plan>,
  { scripts, runs, seed }: { scripts?: StepScripts; runs: number; seed: number },
): Promise<string | undefined> {
  const redis = new Redis(process.env['TEST_REDIS_URL'] ?? '');
  const property = fc.asyncProperty(plans, (plan) => new QuotaModel(redis, plan, scripts).run());
  // The violation of a script broken on purpose need not be shortened.
  const result = await fc.check(property, { numRuns: runs, seed, endOnFailure: scripts !== undefined });
  await redis.quit();
  return result.failed ? `${String(result.errorInstance)}\n${JSON.stringify(result.counterexample)}` : undefined;
}
