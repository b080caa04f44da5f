import { guardMs, type LimitedPolicy, limitOf, periodMsOf } from '#quota';
import type { Memories, Rates } from './arrival-rate.js';

/** Of what later windows will bring, the part that is not counted upon: rates are estimates, and pods act at once. */
const MARGIN = 0.05;
/** Urgent messages come at most this much of their usual rate: a lull. */
const LULL = 0.5;
/** Urgent messages of a period would take less than this part of a window, or are less than one: none to wait for. */
const QUIET = 0.05;
/** Thresholds in periods. Close together where a window more or less matters, far apart where only the sum does. */
const PERIODS = [1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 48, 64, 96];

/** The messages that wait, in numbers that one query gives. */
export interface Waiting {
  total: number;
  /** How many must be sent within each of `dueThresholdsMs`, in that order. */
  dueWithin: readonly number[];
}

export interface Situation {
  policy: LimitedPolicy;
  /** Open at this moment. */
  slots: number;
  /** Of a fixed window that has begun, how long it still lasts. */
  windowEndsInMs?: number;
  /** Urgent arrivals of all pods together. */
  urgentPerSecond: Rates;
  waiting: Waiting;
  /** From a window's opening until the answer to what waited for it. */
  roundTripMs: number;
}

export interface PatientShare {
  /** How many of those that wait may take a slot now, nearest deadline first. */
  take: number;
  /** When to ask again, if slots are open until then. */
  lookAgainMs: number;
}

/**
 * How many of the messages that can wait may take one of the open slots.
 *
 * A block costs the urgent messages that come in it, so the fewer and the better timed blocks the better: patient
 * messages wait, all of them, until the first would no longer find a slot in time, or until urgent ones are in a lull.
 * If they can then use the window to its end, they do so at once: one block for many of them, and a whole window for
 * the next burst. If they are too few for that, only those go that must; a slot taken from a burst is one paid message.
 * Where what is left at the end is lost (other policies), they take what urgent ones will not need before it is.
 *
 * While urgent messages come at a steady rate u, at random, whoever does not know the future pays for u·T/(N + u·T) of
 * all messages whatever he does, unless he pays for patient ones too. What is to be won lies in bursts and lulls.
 */
export function patientShare(situation: Situation): PatientShare {
  const { policy, slots, waiting } = situation;
  const must = mustGo(situation);
  const may = policy.policy === 'count-then-block' ? toFill(situation, must) : unneeded(situation);
  return { take: Math.min(slots, waiting.total, Math.max(must, may)), lookAgainMs: lookMs(policy) };
}

/** For which times from now the waiting messages are to be counted, in milliseconds: 16, nearest first. */
export function dueThresholdsMs({ policy, roundTripMs }: Pick<Situation, 'policy' | 'roundTripMs'>): number[] {
  const cycleMs = cycleMsOf(policy, roundTripMs);
  return PERIODS.map((periods) => Math.ceil(periods * cycleMs));
}

/** Over which times the urgent rate is to be estimated. */
export function rateMemories(policy: LimitedPolicy): Memories {
  return { recentMs: 2 * periodMsOf(policy), usualMs: 24 * periodMsOf(policy) };
}

/**
 * How many cannot be left to what opens later, by earliest deadline first: of those due within some time, all that
 * exceed what opens until the threshold before it.
 */
function mustGo(situation: Situation): number {
  const { waiting } = situation;
  const thresholdsMs = dueThresholdsMs(situation);
  const excess = [...waiting.dueWithin, waiting.total].map(
    (due, index) => due - opensWithin(situation, thresholdsMs[index - 1] ?? 0),
  );
  return Math.ceil(Math.max(0, ...excess));
}

/** How many free sends patient messages can count upon in that time, without the slots that are open now. */
function opensWithin(situation: Situation, ms: number): number {
  const { policy, urgentPerSecond, roundTripMs, windowEndsInMs } = situation;
  const periodMs = periodMsOf(policy);
  const limit = limitOf(policy) * (1 - MARGIN);
  switch (policy.policy) {
    case 'count-then-block':
      return whatUrgentLeave(limit, urgentPerSecond, roundTripMs) * Math.floor(ms / cycleMsOf(policy, roundTripMs));
    case 'fixed-window': {
      const afterEndMs = ms - (windowEndsInMs ?? periodMs) - lookMs(policy) - roundTripMs;
      const windows = Math.max(0, 1 + Math.floor(afterEndMs / periodMs));
      return whatUrgentLeave(limit, urgentPerSecond, roundTripMs) * windows;
    }
    default:
      // What comes back one by one goes to whoever asks first; patient ones that must go get half of it at least.
      return (Math.max(limit / 2, whatUrgentLeave(limit, urgentPerSecond, periodMs)) * ms) / periodMs;
  }
}

function whatUrgentLeave(slots: number, { recent, usual }: Rates, ms: number): number {
  return Math.max(0, slots - (Math.max(recent, usual) * ms) / 1_000);
}

/** All slots of the window if it can be used to its end and now is a good time for its block; else none. */
function toFill({ policy, slots, urgentPerSecond, waiting }: Situation, must: number): number {
  const { recent, usual } = urgentPerSecond;
  if ((recent * periodMsOf(policy)) / 1_000 < Math.max(1, QUIET * limitOf(policy))) return slots;
  return waiting.total >= slots && (must > 0 || recent <= LULL * usual) ? slots : 0;
}

/** Slots that would be lost unused: more than urgent messages will want, by twice the standard deviation of their number. */
function unneeded({ policy, slots, windowEndsInMs, urgentPerSecond, roundTripMs }: Situation): number {
  const periodMs = periodMsOf(policy);
  const limit = limitOf(policy);
  const expectedIn = (ms: number) => (urgentPerSecond.recent * Math.max(0, ms)) / 1_000;
  if (policy.policy === 'fixed-window') {
    const wanted = expectedIn((windowEndsInMs ?? periodMs) - lookMs(policy) - roundTripMs);
    return Math.max(0, Math.floor(slots - wanted - 2 * Math.sqrt(wanted)));
  }
  const wanted = expectedIn(periodMs);
  // A sliding window gives back what urgent ones used as they use more. A bucket only loses what it has no room for.
  const kept = policy.policy === 'sliding-window' ? 0 : wanted;
  const lostUntilNextLook = (limit * lookMs(policy)) / periodMs;
  return Math.max(
    0,
    Math.floor(slots - Math.min(kept + 2 * Math.sqrt(wanted), limit - Math.max(1, lostUntilNextLook))),
  );
}

/** From one opening to the next, if the window is used up as soon as a pod sees it open. */
function cycleMsOf(policy: LimitedPolicy, roundTripMs: number): number {
  const periodMs = periodMsOf(policy);
  return periodMs + guardMs(periodMs) + roundTripMs + 2 * lookMs(policy);
}

function lookMs(policy: LimitedPolicy): number {
  return Math.min(10_000, Math.max(20, periodMsOf(policy) / 40));
}
