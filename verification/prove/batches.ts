import type { Scenario } from './scenarios.js';

/** Pods that may run at the same time without one measuring the other's work, on two cores. */
const MOST_PODS = 12;
const MOST_SCENARIOS = 3;

/**
 * Scenarios to be run side by side. They start and stop together, so that no process starts while another is measured.
 */
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
  return together.length <= MOST_SCENARIOS && pods <= MOST_PODS && batch.every((member) => areAlike(member, scenario));
}

/** They take as long, and what others do to a machine is not done to Octo. */
function areAlike(one: Scenario, other: Scenario): boolean {
  const isCrowd = one.atOnce !== undefined || other.atOnce !== undefined;
  return !isCrowd && one.durationMs === other.durationMs && (one.strategy === 'octo') === (other.strategy === 'octo');
}
