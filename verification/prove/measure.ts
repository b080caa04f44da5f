import { clairvoyantAccepts, type Request } from './clairvoyant.js';
import { FAULTS } from './faults.js';
import { idleSlots } from './idle-slot.js';
import { sentTwice, unexplained } from './losses.js';
import { askedForMs, type MessageRecord } from './message-record.js';
import { admissionOf } from './provider-policy.js';
import { guardMs, type LimitedPolicy, limitOf, periodMsOf } from '#quota';
import { freeInOutage, type Recovery, recoveryOf } from './recovery.js';
import { type Refusals, refusalsOf } from './refusals.js';
import { recordsOf, type RunLog, sentTo } from './run-log.js';
import { policyOf, type Scenario } from './scenarios.js';
import { quantile, reopeningLagsMs, whileOpen } from './spells.js';
import { aroundClockEnds, aroundUnusedEnds, clockSkewMsOf } from './window-ends.js';

/** Beyond guard and answer time, how long a reopening may go unused. */
const REOPENING_MS = 50;

export interface Measures {
  messages: number;
  /** Ours that the provider accepted. */
  free: number;
  /** Of the same arrivals, by a sender that knows everything. */
  possible: number;
  /** How many guard and answer time can have cost. */
  explained: number;
  refused: Refusals;
  unknown: number;
  paid: number;
  /** Beyond those nobody could have sent free. */
  paidMore: number;
  paidWhileOpen: number;
  /** Sends under way when a fixed window ended: until it is known which window they were of, they count in both. */
  carried: number;
  answerMs: Spread;
  /** From reopenings to their first use. */
  lagMs: Spread;
  /** What a reopening may take: guard, answer time, and `REOPENING_MS`. */
  lagAllowedMs: number;
  /** Blocked spells in which all of the limit was used, of all blocked spells; undefined where spells have no limit. */
  fullSpells: { full: number; all: number } | undefined;
  tripsPerMessage: number | undefined;
  tripsWhileBlocked: number;
  longestWaitMs: number;
  /** The longest that nothing could run in a pod that was left alone: how far latencies can be trusted. */
  stallMs: number;
  lost: number;
  twice: number;
  /** Free sends while Redis had been gone for longer than a permit lives. */
  freeInOutage: number | undefined;
  recovery: Recovery | undefined;
}

interface Spread {
  p50: number;
  p99: number;
  count: number;
}

export function measure(log: RunLog, scenario: Scenario, { timeoutMs }: { timeoutMs: number }): Measures {
  const policy = policyOf(scenario);
  const free = log.provider.accepted - log.foreign.filter(({ isAccepted }) => isAccepted).length;
  const possible = clairvoyantAccepts(admissionOf(policy), requestsOf(log)).length;
  const promptness = promptnessOf(log, policy);
  return {
    messages: log.pods.reduce((sum, { arrivals }) => sum + arrivals.length, 0),
    free,
    possible,
    refused: refusalsOf(log, scenario),
    ...paidOf(log, possible),
    ...promptness,
    explained: explainedBy(log, policy, promptness),
    fullSpells: fullSpellsOf(log, policy),
    ...tripsOf(log),
    ...waitsOf(log),
    lost: log.pods.reduce((sum, pod) => sum + unexplained(pod, timeoutMs).length, 0),
    twice: sentTwice(log, { free, timeoutMs }),
    freeInOutage: FAULTS[scenario.fault].isOutage ? freeInOutage(log) : undefined,
    recovery: recoveryOf(log, scenario),
  };
}

/** A pod that stands still has its messages when it goes on; one that is dead has none. */
function requestsOf(log: RunLog): Request[] {
  return [
    ...recordsOf(log).map(({ arrivedAtMs }) => ({ atMs: arrivedAtMs })),
    ...log.foreign.map(({ atMs }) => ({ atMs, isForeign: true })),
  ];
}

function paidOf(log: RunLog, possible: number): Pick<Measures, 'unknown' | 'paid' | 'paidMore'> {
  const records = recordsOf(log);
  const unknown = records.filter(({ outcome }) => outcome === 'unknown').length;
  const paid = records.filter(({ outcome }) => outcome !== 'free').length - unknown;
  return { unknown, paid, paidMore: paid - (records.length - possible) };
}

function promptnessOf(
  log: RunLog,
  policy: LimitedPolicy,
): Pick<Measures, 'answerMs' | 'lagMs' | 'lagAllowedMs' | 'paidWhileOpen' | 'carried'> {
  const { spells } = log.provider;
  const records = recordsOf(log);
  const answersMs = records.filter(({ outcome }) => outcome === 'free').map(answerMsOf);
  const answerMs = spread(answersMs);
  // Each answer dates a slot where slots come back one by one.
  const slowest = quantile(answersMs, 1);
  const lagAllowedMs = guardMs(periodMsOf(policy)) + (clockSkewMsOf(policy) ?? 0) + REOPENING_MS + answerMs.p99;
  return {
    answerMs,
    lagMs: spread(reopeningLagsMs(spells, records)),
    lagAllowedMs,
    paidWhileOpen: paidWhileOpen(log, policy, { graceMs: lagAllowedMs - answerMs.p99 + slowest, answerMs: slowest }),
    carried: aroundClockEnds(records, policy).filter(({ outcome }) => outcome !== 'paid').length,
  };
}

/** Slots that lay idle for all of the grace before a message was paid for, and the answer time after. */
function paidWhileOpen(log: RunLog, policy: LimitedPolicy, margins: { graceMs: number; answerMs: number }): number {
  const paid = recordsOf(log).filter(({ outcome }) => outcome === 'paid');
  const decidedAtMs = paid.map((record) => record.decidedAtMs).toSorted((one, other) => one - other);
  const atMs = whileOpen(log.provider.spells, decidedAtMs, margins);
  return idleSlots(() => admissionOf(policy), sentTo(log), { atMs, ...margins });
}

/**
 * What comes within guard and answer time of the reopenings, but of one in a period only: each of them makes all that
 * follow later by as much. Windows that follow the clock stay where they are: there it is what did come.
 */
function explainedBy(
  log: RunLog,
  policy: LimitedPolicy,
  { lagMs, answerMs }: Pick<Measures, 'lagMs' | 'answerMs'>,
): number {
  const records = recordsOf(log);
  if (clockSkewMsOf(policy) !== undefined) return aroundClockEnds(records, policy).length;
  if (policy.policy === 'fixed-window' && lagMs.count === 0)
    return aroundUnusedEnds(records, log.provider.spells, policy).length;
  const [first, last] = [records[0]?.arrivedAtMs ?? 0, records.at(-1)?.arrivedAtMs ?? 0];
  if (last === first) return 0;
  const periods = Math.min(lagMs.count, (last - first) / periodMsOf(policy));
  const perMs = records.length / (last - first);
  return periods * perMs * (guardMs(periodMsOf(policy)) + answerMs.p99);
}

function spread(values: readonly number[]): Spread {
  return { p50: quantile(values, 0.5), p99: quantile(values, 0.99), count: values.length };
}

function answerMsOf({ decidedAtMs, answeredAtMs = decidedAtMs }: MessageRecord): number {
  return answeredAtMs - decidedAtMs;
}

function fullSpellsOf({ provider }: RunLog, policy: LimitedPolicy): Measures['fullSpells'] {
  if (policy.policy === 'sliding-window' || policy.policy === 'token-bucket') return undefined;
  const blocked = provider.spells.filter(({ blockedMs }) => blockedMs < Infinity);
  return { full: blocked.filter(({ accepted }) => accepted >= limitOf(policy)).length, all: blocked.length };
}

function tripsOf({ pods }: RunLog): Pick<Measures, 'tripsPerMessage' | 'tripsWhileBlocked'> {
  const handled = pods.reduce((sum, { records }) => sum + records.length, 0);
  const known = pods.flatMap(({ trips }) => trips ?? []);
  return {
    tripsPerMessage: known.length === 0 ? undefined : known.reduce((sum, trips) => sum + trips, 0) / handled,
    tripsWhileBlocked: pods.reduce((sum, { tripsWhileBlocked }) => sum + tripsWhileBlocked, 0),
  };
}

/** Of a pod that was made to stand still, neither says anything. */
function waitsOf({ pods }: RunLog): Pick<Measures, 'longestWaitMs' | 'stallMs'> {
  const running = pods.filter(({ wasPaused }) => !wasPaused);
  const waits = running.flatMap(({ records }) => records.map(askedForMs));
  return {
    longestWaitMs: quantile(waits, 1),
    stallMs: quantile(
      running.map(({ stallMs }) => stallMs),
      1,
    ),
  };
}
