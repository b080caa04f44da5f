import { FAULTS } from './faults.js';
import { recordsOf, type RunLog } from './run-log.js';
import { policyOf, type Scenario } from './scenarios.js';

/** The provider's refusals, by cause. */
export interface Refusals {
  unexplained: number;
  /** One for each unknown outcome, for a lost pod, and for a count that nothing can restore. */
  byUnknown: number;
  /** One in each window of a provider whose block begins with a refusal. */
  probes: number;
  /** Ours, while another client used the quota. */
  byForeign: number;
  /** The other client's own. */
  ofForeign: number;
}

/** Each refusal counts once, for the first cause that explains it. */
export function refusalsOf(log: RunLog, scenario: Scenario): Refusals {
  const ofForeign = log.foreign.filter(({ isAccepted }) => !isAccepted).length;
  let left = log.provider.refused - ofForeign;
  const explain = (most: number): number => {
    const explained = Math.min(left, most);
    left -= explained;
    return explained;
  };
  const probes = explain(probesOf(log, scenario));
  const byForeign = explain(FAULTS[scenario.fault].isForeign ? Infinity : 0);
  const byUnknown = explain(unknownsOf(log, scenario));
  return { unexplained: left, byUnknown, probes, byForeign, ofForeign };
}

/** Refusals that begin a block, from that moment on. */
export function probesOf(
  { provider }: Pick<RunLog, 'provider'>,
  scenario: Pick<Scenario, 'policy' | 'limit'>,
  fromMs = -Infinity,
): number {
  const policy = policyOf(scenario);
  if (policy.policy !== 'count-then-block' || policy.startsAt !== 'first-refusal') return 0;
  return provider.windows.filter(({ blockedMs }) => fromMs <= blockedMs && blockedMs < Infinity).length;
}

function unknownsOf(log: RunLog, { policy, fault, announces }: Scenario): number {
  const unknown = recordsOf(log).filter(({ outcome }) => outcome === 'unknown').length;
  const { losesPod, losesCount } = FAULTS[fault];
  // A window that does not end by time: waiting cannot reveal how much of it was used.
  const isUnknowable = losesCount && !announces && policyOf({ policy }).policy === 'count-then-block';
  return unknown + Number(losesPod) + Number(isUnknowable);
}
