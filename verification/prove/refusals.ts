import { FAULTS } from './faults.js';
import { recordsOf, type RunLog } from './run-log.js';
import { policyOf, type Scenario } from './scenarios.js';

/** Refusals of the provider, by who caused them. */
export interface Refusals {
  /** Nothing explains them. */
  ours: number;
  /** One for each send or pod of which nobody knows what became, and for a count that cannot be known again. */
  byUnknown: number;
  /** One per window where the provider's block begins with a refusal. */
  inherent: number;
  /** Ours, while somebody else used the quota. */
  byForeign: number;
  /** Somebody else's own. */
  ofForeign: number;
}

/** Each refusal counts once, for the first cause that explains it. */
export function refusalsOf(log: RunLog, scenario: Scenario): Refusals {
  const ofForeign = log.foreign.filter(({ isAccepted }) => !isAccepted).length;
  let left = log.provider.refused - ofForeign;
  const explained = (most: number): number => {
    const some = Math.min(left, most);
    left -= some;
    return some;
  };
  const inherent = explained(inherentRefusals(log, scenario));
  const byForeign = explained(FAULTS[scenario.fault].isForeign ? Infinity : 0);
  const byUnknown = explained(episodesOf(log, scenario));
  return { ours: left, byUnknown, inherent, byForeign, ofForeign };
}

/** Where the block begins with a refusal, one for each block that began from that moment on. */
export function inherentRefusals(
  { provider }: Pick<RunLog, 'provider'>,
  scenario: Pick<Scenario, 'policy' | 'limit'>,
  fromMs = -Infinity,
): number {
  const policy = policyOf(scenario);
  if (policy.policy !== 'count-then-block' || policy.startsAt !== 'first-refusal') return 0;
  return provider.spells.filter(({ blockedMs }) => fromMs <= blockedMs && blockedMs < Infinity).length;
}

function episodesOf(log: RunLog, { policy, fault, announces }: Scenario): number {
  const unknown = recordsOf(log).filter(({ outcome }) => outcome === 'unknown').length;
  const { episodes, isForgetting } = FAULTS[fault];
  // Such a window does not end by time, so that waiting cannot tell how much of it was used before.
  const isUnknowable = isForgetting && !announces && policyOf({ policy }).policy === 'count-then-block';
  return unknown + episodes + (isUnknowable ? 1 : 0);
}
