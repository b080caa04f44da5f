import type { Scenario } from './scenarios.js';

/** On two cores more pods than this would slow each other down. */
const PODS_MAX = 12;
const SCENARIOS_MAX = 3;

/** Groups scenarios that run at the same time. They start and stop together, so that no start disturbs a measurement. */
export function batchesOf(scenarios: readonly Scenario[]): Scenario[][] {
  const batches: Scenario[][] = [];
  for (const scenario of scenarios) {
    const batch = batches.find((one) => fits(one, scenario));
    if (batch === undefined) batches.push([scenario]);
    else batch.push(scenario);
  }
  return batches;
}

function fits(batch: readonly Scenario[], scenario: Scenario): boolean {
  const together = [...batch, scenario];
  const pods = together.reduce((sum, member) => sum + member.pods, 0);
  return together.length <= SCENARIOS_MAX && pods <= PODS_MAX && batch.every((member) => areAlike(member, scenario));
}

/** Equally long, and no other limiter beside Octo: its load would disturb Octo. */
function areAlike(one: Scenario, other: Scenario): boolean {
  return one.durationMs === other.durationMs && (one.limiter === 'octo') === (other.limiter === 'octo');
}
