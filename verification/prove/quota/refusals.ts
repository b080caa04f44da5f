import { FAULTS } from './faults.js';
import type { MessageRecord } from './pod-protocol.js';
import { recordsOf, type RunLog } from './run-log.js';
import { policyOf, type Scenario, unitOf } from './scenarios.js';

/** The shortest pause after a refusal. */
const PAUSE_MIN_MS = 500;
/** Until all pods know of an answer, if none of them stalls. */
const REPORT_MS = 50;

/** The provider's refusals, by cause. */
export interface Refusals {
  unexplained: number;
  /** One for each unknown outcome, for a lost pod, and for a count that nothing can restore. */
  byUnknown: number;
  /** One in each window of a provider whose block begins with a refusal. */
  probes: number;
  /** One for each pause that a limit causes which no gateway is configured for. */
  byHidden: number;
  /** Of requests under way when such a pause began, or while other requests used more tokens than estimated. */
  underWay: number;
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
  const byHidden = explain(pausesOf(log, scenario).length);
  const underWay = explain(underWayOf(log, scenario));
  const byForeign = explain(FAULTS[scenario.fault].isForeign ? Infinity : 0);
  const byUnknown = explain(unknownsOf(log, scenario));
  return { unexplained: left, byUnknown, probes, byHidden, underWay, byForeign, ofForeign };
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

/** Refusals that began a pause: when their answers arrived. */
function pausesOf(log: RunLog, { hidden }: Scenario): number[] {
  if (hidden === 'none') return [];
  const answeredMs = refusedIn(log).map(answeredAtMsOf);
  let endMs = -Infinity;
  return answeredMs
    .toSorted((one, other) => one - other)
    .filter((atMs) => {
      if (atMs < endMs) return false;
      endMs = atMs + PAUSE_MIN_MS;
      return true;
    });
}

function underWayOf(log: RunLog, scenario: Scenario): number {
  const pausesMs = pausesOf(log, scenario);
  const reportMs = REPORT_MS + Math.max(...log.pods.map(({ stallMs }) => stallMs));
  const accepted = unitOf(scenario) === 'tokens' ? recordsOf(log).filter(({ outcome }) => outcome === 'free') : [];
  const isUnderWay = ({ decidedAtMs, ...record }: MessageRecord): boolean => {
    const atMs = answeredAtMsOf({ decidedAtMs, ...record });
    const beganMs = pausesMs.findLast((pauseMs) => pauseMs < atMs);
    if (beganMs !== undefined && decidedAtMs < beganMs + reportMs) return true;
    return accepted.some((other) => other.decidedAtMs <= decidedAtMs && decidedAtMs < answeredAtMsOf(other) + reportMs);
  };
  return refusedIn(log).filter(isUnderWay).length;
}

function refusedIn(log: RunLog): MessageRecord[] {
  return recordsOf(log).filter(({ outcome }) => outcome === 'refused');
}

function answeredAtMsOf({ decidedAtMs, answeredAtMs = decidedAtMs }: MessageRecord): number {
  return answeredAtMs;
}

function unknownsOf(log: RunLog, { policy, fault, announces }: Scenario): number {
  const unknown = recordsOf(log).filter(({ outcome }) => outcome === 'unknown').length;
  const { losesPod, losesCount } = FAULTS[fault];
  // A window that does not end by time: waiting cannot reveal how much of it was used.
  const isUnknowable = losesCount && !announces && policyOf({ policy }).policy === 'count-then-block';
  return unknown + Number(losesPod) + Number(isUnknowable);
}
