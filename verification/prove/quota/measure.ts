import { guardMs, type LimitedPolicy, limitOf, periodMsOf } from '#quota';
import { clairvoyantAccepts } from './clairvoyant.js';
import { FAULTS } from './faults.js';
import type { MessageRecord } from './pod-protocol.js';
import { admissionOf } from './provider-policy.js';
import { quantile, reopeningLagsMs } from './provider-windows.js';
import { freeInOutage, type Recovery, recoveryOf } from './recovery.js';
import { type Refusals, refusalsOf } from './refusals.js';
import { recordsOf, type RunLog } from './run-log.js';
import { limitsOf, policyOf, providerLimitsOf, type Scenario, unitOf } from './scenarios.js';

/** A reopening may stay unused this long, beyond guard and answer time. */
const REOPENING_MS = 50;

export interface Measures {
  messages: number;
  /** Our messages that the provider accepted, or their tokens. */
  free: number;
  /** The most that any sender could get accepted of the same arrivals. */
  possible: number;
  /** Of tokens: by how many one window was exceeded, at most. */
  over: number;
  /** Free sends that guard and answer time may have cost. */
  explained: number;
  /** Messages paid for beyond those that no sender could have sent free, or their tokens. */
  extraPaid: number;
  refused: Refusals;
  /** From each reopening to its first use. */
  lagMs: { p50: number; p99: number };
  /** Guard, answer time, and `REOPENING_MS`. */
  lagAllowedMs: number;
  tripsPerMessage: number | undefined;
  longestWaitMs: number;
  /** The longest time that a pod could not run: shows how far the latencies can be trusted. */
  stallMs: number;
  /** Undefined if Redis was not away. */
  freeInOutage: number | undefined;
  recovery: Recovery | undefined;
}

export function measure(log: RunLog, scenario: Scenario): Measures {
  const policy = policyOf(scenario);
  const records = recordsOf(log);
  const answers = records.filter(({ outcome }) => outcome === 'free').map(answerMsOf);
  const use =
    unitOf(scenario) === 'tokens' ? tokensOf(log, scenario) : requestsOf(log, scenario, quantile(answers, 0.5));
  const marginMs = guardMs(periodMsOf(policy)) + clockSkewMsOf(policy) + quantile(answers, 0.99);
  const lags = reopeningLagsMs(log.provider.windows, records);
  return {
    messages: records.length,
    ...use,
    explained: explainedBy(records, policy, { marginMs, reopenings: lags.length }),
    refused: refusalsOf(log, scenario),
    lagMs: { p50: quantile(lags, 0.5), p99: quantile(lags, 0.99) },
    lagAllowedMs: marginMs + REOPENING_MS,
    tripsPerMessage: tripsPerMessage(log),
    ...delaysOf(log),
    freeInOutage: FAULTS[scenario.fault].isOutage ? freeInOutage(log) : undefined,
    recovery: recoveryOf(log, scenario),
  };
}

type Use = Pick<Measures, 'free' | 'possible' | 'extraPaid' | 'over'>;

/** A paused pod handles its messages later, a dead pod never: only handled messages count. */
function requestsOf(log: RunLog, scenario: Scenario, answerMs: number): Use {
  const records = recordsOf(log);
  const ours = records.map(({ arrivedAtMs }) => ({ atMs: arrivedAtMs }));
  const foreign = log.foreign.map(({ atMs }) => ({ atMs, isForeign: true }));
  const limits = limitsOf(scenario);
  const [atOnce = Infinity] = limits.flatMap((limit) => (limit.policy === 'concurrency' ? [limit.limit] : []));
  const admission = admissionOf(providerLimitsOf(scenario));
  const possible = clairvoyantAccepts(admission, [...ours, ...foreign], { atOnce, answerMs }).length;
  const unpaid = records.filter(({ outcome }) => outcome === 'free' || outcome === 'unknown').length;
  const free = log.provider.accepted - log.foreign.filter(({ isAccepted }) => isAccepted).length;
  return { free, possible, extraPaid: possible - unpaid, over: 0 };
}

/** What exceeds the limit of a window is no gain: the provider lets it pass, and the next window does not have it. */
function tokensOf(log: RunLog, scenario: Scenario): Use {
  const limit = limitOf(policyOf(scenario));
  const admission = admissionOf(providerLimitsOf(scenario));
  clairvoyantAccepts(
    admission,
    recordsOf(log).map(({ arrivedAtMs, tokens }) => ({ atMs: arrivedAtMs, tokens })),
  );
  const within = (counts: readonly number[]): number => counts.reduce((sum, count) => sum + Math.min(count, limit), 0);
  const free = within(log.provider.counts);
  const possible = within(admission.stats().windows.map(({ accepted }) => accepted));
  return { free, possible, extraPaid: possible - free, over: Math.max(0, Math.max(...log.provider.counts) - limit) };
}

/**
 * The messages that arrive within guard and answer time of the reopenings, but of one reopening a period: each delay moves
 * everything after it. Clock windows do not move: there it is the messages in flight at the end of a window.
 */
function explainedBy(
  records: readonly MessageRecord[],
  policy: LimitedPolicy,
  { marginMs, reopenings }: { marginMs: number; reopenings: number },
): number {
  const periodMs = periodMsOf(policy);
  if (isByClock(policy)) {
    const windowOf = (atMs: number): number => Math.floor(atMs / periodMs);
    const isAtEnd = ({ arrivedAtMs, decidedAtMs, answeredAtMs = decidedAtMs }: MessageRecord): boolean =>
      windowOf(arrivedAtMs - marginMs) < windowOf(answeredAtMs + marginMs);
    return records.filter(isAtEnd).length;
  }
  const spanMs = (records.at(-1)?.arrivedAtMs ?? 0) - (records[0]?.arrivedAtMs ?? 0);
  if (spanMs === 0) return 0;
  return Math.min(reopenings, spanMs / periodMs) * (records.length / spanMs) * marginMs;
}

function clockSkewMsOf(policy: LimitedPolicy): number {
  return isByClock(policy) ? policy.clockSkewMs : 0;
}

function isByClock(policy: LimitedPolicy): policy is Extract<LimitedPolicy, { policy: 'fixed-window' }> {
  return policy.policy === 'fixed-window' && ('every' in policy || policy.anchor === 'clock');
}

function answerMsOf({ decidedAtMs, answeredAtMs = decidedAtMs }: MessageRecord): number {
  return answeredAtMs - decidedAtMs;
}

function tripsPerMessage({ pods }: RunLog): number | undefined {
  const counted = pods.flatMap(({ trips }) => trips ?? []);
  const handled = pods.reduce((sum, { records }) => sum + records.length, 0);
  return counted.length === 0 ? undefined : counted.reduce((sum, trips) => sum + trips, 0) / handled;
}

/** Without pods that were paused on purpose. */
function delaysOf({ pods }: RunLog): Pick<Measures, 'longestWaitMs' | 'stallMs'> {
  const running = pods.filter(({ wasPaused }) => !wasPaused);
  const waits = running.flatMap(({ records }) =>
    records.map(({ arrivedAtMs, decidedAtMs }) => decidedAtMs - arrivedAtMs),
  );
  const stalls = running.map(({ stallMs }) => stallMs);
  return { longestWaitMs: quantile(waits, 1), stallMs: quantile(stalls, 1) };
}
