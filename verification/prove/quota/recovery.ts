import { hasWindows, periodMsOf } from '#quota';
import { clairvoyantAccepts } from './clairvoyant.js';
import { FAULTS } from './faults.js';
import { admissionOf } from './provider-policy.js';
import { probesOf } from './refusals.js';
import { recordsOf, type RunLog, sentTo } from './run-log.js';
import { policyOf, providerLimitsOf, type Scenario } from './scenarios.js';

/** The engine's default permit life: a permit may be used this long after its grant. */
const PERMIT_MS = 500;
/** Time after an outage until the count must be exact again. */
const AFTER_OUTAGE_MS = 2_000;

/** Free sends after a fault, and how many were possible. */
export interface Recovery {
  free: number;
  possible: number;
  refused: number;
}

/** Free sends while Redis had been away for longer than a permit lives. */
export function freeInOutage({ pods, fault }: RunLog): number {
  const { beganMs, endedMs } = fault ?? { beganMs: 0, endedMs: 0 };
  return recordsOf({ pods }).filter(
    ({ outcome, decidedAtMs }) => outcome !== 'paid' && beganMs + PERMIT_MS < decidedAtMs && decidedAtMs < endedMs,
  ).length;
}

/**
 * Counted from the second window after the fault; for a policy without windows from two periods after it; after an outage
 * from two seconds after it. Undefined without a fault.
 */
export function recoveryOf(log: RunLog, scenario: Scenario): Recovery | undefined {
  if (log.fault === undefined) return undefined;
  const policy = policyOf(scenario);
  const { endedMs } = log.fault;
  if (FAULTS[scenario.fault].isOutage) return recoveryFrom(log, scenario, endedMs + AFTER_OUTAGE_MS);
  if (!hasWindows(policy)) return recoveryFrom(log, scenario, endedMs + 2 * periodMsOf(policy));
  const starts = log.provider.windows.map(({ startedMs }) => startedMs).filter((startedMs) => startedMs > endedMs);
  return recoveryFrom(log, scenario, starts[1] ?? Infinity, []);
}

/** @param sentBeforeMs what the provider still counts at that moment */
function recoveryFrom(
  log: RunLog,
  scenario: Scenario,
  fromMs: number,
  sentBeforeMs: readonly number[] = sentTo(log).filter((atMs) => atMs < fromMs),
): Recovery {
  const admission = admissionOf(providerLimitsOf(scenario));
  for (const atMs of sentBeforeMs) admission.decide(atMs);
  // The message that starts a window arrives a moment before the window.
  const later = recordsOf(log).filter(
    ({ arrivedAtMs, answeredAtMs = -Infinity }) => arrivedAtMs >= fromMs || answeredAtMs >= fromMs,
  );
  const untilMs = lastBlockMs(log, scenario);
  const inWindows = later.filter(({ arrivedAtMs }) => arrivedAtMs <= untilMs);
  const requests = inWindows.map(({ arrivedAtMs }) => ({ atMs: Math.max(arrivedAtMs, fromMs) }));
  const refused = later.filter(({ outcome }) => outcome === 'refused').length;
  return {
    free: inWindows.filter(({ outcome }) => outcome === 'free').length,
    possible: clairvoyantAccepts(admission, requests).length,
    refused: Math.max(0, refused - probesOf(log, scenario, fromMs)),
  };
}

/** The end of the run may cut a window: small delays of earlier windows add up there, so it does not count. */
function lastBlockMs({ provider }: RunLog, scenario: Scenario): number {
  if (!hasWindows(policyOf(scenario))) return Infinity;
  return provider.windows.findLast(({ blockedMs }) => blockedMs < Infinity)?.blockedMs ?? Infinity;
}
