import { guardMs, type LimitedPolicy, limitOf, periodMsOf } from '#quota';
import type { Memories, Rates } from './arrival-rate.js';

/** The part of later windows that is not counted on: rates are estimates, and pods act at the same time. */
const MARGIN = 0.05;
/** Slack: urgent messages come at no more than this part of their usual rate. */
const SLACK = 0.5;
/** Urgent messages that would take less than this part of a window, or less than one slot, are ignored. */
const QUIET = 0.05;
/** Thresholds in cycles. Close together where a window more or less matters, far apart where only the sum does. */
const CYCLES = [1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 48, 64, 96];

/** The waiting messages in numbers, from one query. */
export interface Waiting {
  total: number;
  /** How many messages must be sent within each of `dueThresholdsMs`, in that order. */
  dueWithin: readonly number[];
}

export interface Situation {
  policy: LimitedPolicy;
  /** Slots open now. */
  slots: number;
  /** Remaining time of a fixed window that has begun. */
  windowEndsInMs?: number;
  /** Urgent arrivals at all pods together. */
  urgentPerSecond: Rates;
  waiting: Waiting;
  /** From the opening of a window to the answer to a message that waited for it. */
  roundTripMs: number;
}

export interface PatientShare {
  /** How many waiting messages may take a slot now, earliest `sendBy` first. */
  take: number;
  /** How many more there are slots for, which are kept for urgent messages. */
  heldBack: number;
  /** When to ask again, if slots are open until then. */
  lookAgainMs: number;
}

/**
 * How many waiting messages may take one of the open slots.
 *
 * A block costs money for every urgent message that comes in it: the fewer and the better timed the blocks, the better.
 * - No patient message goes while all of them can still find a slot in a later window.
 * - All go when the first of them would no longer find one, or when urgent messages are slack, if together they can use
 *   the window to its end: one block for many of them, and a whole window for the next burst.
 * - Only those go that must, if they are too few for that: each slot taken from a burst is one paid message.
 * - Under the other policies, where unused slots are lost, they take what urgent messages will not need.
 *
 * While urgent messages arrive at random at a steady rate u, every strategy without knowledge of the future pays for
 * u·T/(N + u·T) of all messages, unless it pays for patient messages too. The gain lies in bursts and slack (ADR 10).
 */
export function patientShare(situation: Situation): PatientShare {
  const { policy, slots, waiting } = situation;
  const must = mustGo(situation);
  const may = policy.policy === 'count-then-block' ? toFill(situation, must) : unneeded(situation);
  const most = Math.min(slots, waiting.total);
  const take = Math.min(most, Math.max(must, may));
  return { take, heldBack: most - take, lookAgainMs: lookMs(policy) };
}

/** The times from now, in milliseconds, within which due messages are counted: 16, nearest first. */
export function dueThresholdsMs({ policy, roundTripMs }: Pick<Situation, 'policy' | 'roundTripMs'>): number[] {
  const cycleMs = cycleMsOf(policy, roundTripMs);
  return CYCLES.map((cycles) => Math.ceil(cycles * cycleMs));
}

/** Memories of the estimate of the urgent rate. */
export function rateMemories(policy: LimitedPolicy): Memories {
  return { recentMs: 2 * periodMsOf(policy), usualMs: 24 * periodMsOf(policy) };
}

/**
 * How many messages cannot be left to later openings. For each threshold: the messages due by then, less the slots that
 * open before the previous threshold. The largest excess must go now.
 */
function mustGo(situation: Situation): number {
  const { waiting } = situation;
  const thresholdsMs = dueThresholdsMs(situation);
  const excess = [...waiting.dueWithin, waiting.total].map(
    (due, index) => due - opensWithin(situation, thresholdsMs[index - 1] ?? 0),
  );
  return Math.ceil(Math.max(0, ...excess));
}

/** How many free sends patient messages can count on in that time, without the slots open now. */
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
      // Slots that return one by one go to the first that asks; patient messages that must go get at least half of them.
      return (Math.max(limit / 2, whatUrgentLeave(limit, urgentPerSecond, periodMs)) * ms) / periodMs;
  }
}

function whatUrgentLeave(slots: number, { recent, usual }: Rates, ms: number): number {
  return Math.max(0, slots - (Math.max(recent, usual) * ms) / 1_000);
}

/** All slots if the window can be used to its end and now is a good time for its block; else none. */
function toFill({ policy, slots, urgentPerSecond, waiting }: Situation, must: number): number {
  const { recent, usual } = urgentPerSecond;
  if ((recent * periodMsOf(policy)) / 1_000 < Math.max(1, QUIET * limitOf(policy))) return slots;
  return waiting.total >= slots && (must > 0 || recent <= SLACK * usual) ? slots : 0;
}

/** Slots that would be lost unused: beyond what urgent messages will want, plus two standard deviations. */
function unneeded({ policy, slots, windowEndsInMs, urgentPerSecond, roundTripMs }: Situation): number {
  const periodMs = periodMsOf(policy);
  const limit = limitOf(policy);
  const expectedIn = (ms: number) => (urgentPerSecond.recent * Math.max(0, ms)) / 1_000;
  if (policy.policy === 'fixed-window') {
    const wanted = expectedIn((windowEndsInMs ?? periodMs) - lookMs(policy) - roundTripMs);
    return Math.max(0, Math.floor(slots - wanted - 2 * Math.sqrt(wanted)));
  }
  const wanted = expectedIn(periodMs);
  // A sliding window returns the slots that urgent messages used. A bucket only loses tokens that it has no room for.
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
