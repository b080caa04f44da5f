import { clairvoyantAccepts } from './clairvoyant.js';
import { FAULTS } from './faults.js';
import { admissionOf } from './provider-policy.js';
import { hasWindows, periodMsOf } from '#quota';
import { inherentRefusals } from './refusals.js';
import { recordsOf, type RunLog, sentTo } from './run-log.js';
import { policyOf, type Scenario } from './scenarios.js';

/** A permit may be held so long before it is used; it is the engine's default. */
const PERMIT_MS = 500;
/** How soon after an outage the count must be exact. */
const OUTAGE_OVER_MS = 2_000;

/** What was used of what was possible once a fault was over. */
export interface Recovery {
  free: number;
  possible: number;
  refused: number;
}

/** Free sends while Redis had been gone for longer than a permit lives. */
export function freeInOutage(log: RunLog): number {
  const { beganMs, endedMs } = log.fault ?? { beganMs: 0, endedMs: 0 };
  return recordsOf(log).filter(
    ({ outcome, decidedAtMs }) => outcome !== 'paid' && beganMs + PERMIT_MS < decidedAtMs && decidedAtMs < endedMs,
  ).length;
}

/**
 * From the second window after the fault on; where there are no windows, after two periods; after an outage, once two
 * seconds have gone. Undefined without a fault.
 */
export function recoveryOf(log: RunLog, scenario: Scenario): Recovery | undefined {
  if (log.fault === undefined) return undefined;
  const policy = policyOf(scenario);
  const { endedMs } = log.fault;
  if (FAULTS[scenario.fault].isOutage) return sinceThen(log, scenario, endedMs + OUTAGE_OVER_MS, sentBefore);
  if (!hasWindows(policy)) return sinceThen(log, scenario, endedMs + 2 * periodMsOf(policy), sentBefore);
  const begins = log.provider.spells.map(({ startedMs }) => startedMs).filter((startedMs) => startedMs > endedMs);
  return sinceThen(log, scenario, begins[1] ?? Infinity, nothingSent);
}

/** The provider being as it was at that moment, after what it had been sent. */
function sinceThen(log: RunLog, scenario: Scenario, fromMs: number, history: typeof sentBefore): Recovery {
  const admission = admissionOf(policyOf(scenario));
  for (const atMs of history(log, fromMs)) admission.decide(atMs);
  // What starts a window came a moment before the window.
  const later = recordsOf(log).filter(
    ({ arrivedAtMs, answeredAtMs = -Infinity }) => arrivedAtMs >= fromMs || answeredAtMs >= fromMs,
  );
  const untilMs = lastWindowEndsMs(log, scenario);
  const inWindows = later.filter(({ arrivedAtMs }) => arrivedAtMs <= untilMs);
  const requests = inWindows.map(({ arrivedAtMs }) => ({ atMs: Math.max(arrivedAtMs, fromMs) }));
  const refused = later.filter(({ outcome }) => outcome === 'refused').length;
  return {
    free: inWindows.filter(({ outcome }) => outcome === 'free').length,
    possible: clairvoyantAccepts(admission, requests).length,
    refused: Math.max(0, refused - inherentRefusals(log, scenario, fromMs)),
  };
}

/** A window that the run cuts off says nothing: whoever was one message late in those before is many late there. */
function lastWindowEndsMs({ provider }: RunLog, scenario: Scenario): number {
  if (!hasWindows(policyOf(scenario))) return Infinity;
  return provider.spells.findLast(({ blockedMs }) => blockedMs < Infinity)?.blockedMs ?? Infinity;
}

function sentBefore(log: RunLog, untilMs: number): number[] {
  return sentTo(log).filter((atMs) => atMs < untilMs);
}

function nothingSent(): number[] {
  return [];
}
