import { FAULTS } from './faults.js';
import type { Measures } from './measure.js';
import { limitsOf, type Scenario, TOKENS, unitOf } from './scenarios.js';

/** Octo's free sends, as a share of what is possible. */
const SHARE_MIN = 0.98;
/** Of tokens: estimates that are wrong leave a rest that fits no message. */
const TOKENS_SHARE_MIN = 0.95;
/** For each limit: they make their trips at the same time. */
const TRIPS_MAX = 1;
/** A slot in flight is free for other pods as soon as its settlement is in Redis, and so is what an estimate had too much. */
const SETTLEMENT_TRIPS_MAX = 1;
/** Timers fire late on a busy machine. */
const SCHEDULING_MS = 50;
/** A run in which a pod could not run for longer than this says nothing about promptness. */
const STALL_MAX_MS = 50;

/** @returns a sentence for each goal that Octo missed */
export function goalsMissed(scenario: Scenario, measures: Measures, { budgetMs }: { budgetMs: number }): string[] {
  const { refused, over, tripsPerMessage = 0, longestWaitMs } = measures;
  const limits = limitsOf(scenario);
  const isReportedAtOnce = limits.some(({ policy }) => policy === 'concurrency') || unitOf(scenario) === 'tokens';
  const settlements = isReportedAtOnce ? SETTLEMENT_TRIPS_MAX : 0;
  const tripsMax = TRIPS_MAX * limits.length + settlements;
  return [
    ...sentences([
      [refused.unexplained > 0, `${refused.unexplained} refusals without a cause`],
      [tripsPerMessage > tripsMax, `${tripsPerMessage.toFixed(2)} trips a message, more than ${tripsMax}`],
      [over > TOKENS.max, `a window was exceeded by ${over} tokens, more than one message`],
      [longestWaitMs > budgetMs + SCHEDULING_MS, `a caller waited ${longestWaitMs.toFixed(0)} ms for a permit`],
    ]),
    ...(scenario.fault === 'none' ? missedWithoutFault(scenario, measures) : missedWithFault(scenario, measures)),
  ];
}

/**
 * Whether the machine was too busy to judge: goals of promptness were missed, and a pod could not run for a while. Refusals,
 * and free sends without Redis, count however busy it was.
 */
export function isDisturbed({ stallMs, refused, freeInOutage = 0 }: Measures): boolean {
  return stallMs > STALL_MAX_MS && refused.unexplained + freeInOutage === 0;
}

function missedWithoutFault(scenario: Scenario, measures: Measures): string[] {
  const { lagMs, lagAllowedMs } = measures;
  const [lag, allowed] = [lagMs.p99.toFixed(0), lagAllowedMs.toFixed(0)];
  return sentences([
    unitOf(scenario) === 'tokens' ? tooFewTokens(measures) : tooFew(measures, measures),
    [lagMs.p99 > lagAllowedMs, `a reopening was used ${lag} ms late, more than ${allowed} ms`],
  ]);
}

function missedWithFault({ fault }: Scenario, measures: Measures): string[] {
  const { freeInOutage = 0, recovery = { free: 0, possible: 0, refused: 0 } } = measures;
  return sentences([
    [freeInOutage > 0, `${freeInOutage} free sends while Redis was away`],
    [recovery.possible === 0, 'no recovery'],
    tooFew(recovery, measures),
    [recovery.refused > 0 && !FAULTS[fault].isForeign, `${recovery.refused} refusals after the fault`],
  ]);
}

/** One may be missing in any case. A part of the run has its part of what delays explain. */
function tooFew(
  { free, possible }: { free: number; possible: number },
  { explained, possible: possibleInAll }: Pick<Measures, 'possible' | 'explained'>,
): [isMissed: boolean, sentence: string] {
  const allowed = Math.max(1, possible * (1 - SHARE_MIN), (explained * possible) / possibleInAll);
  const sentence = `${free} free sends of ${possible}, which is less than ${SHARE_MIN * 100} % and more than delays explain`;
  return [possible - free > allowed, sentence];
}

function tooFewTokens({ free, possible }: Measures): [isMissed: boolean, sentence: string] {
  const sentence = `${free} tokens of ${possible}, which is less than ${TOKENS_SHARE_MIN * 100} %`;
  return [free < possible * TOKENS_SHARE_MIN, sentence];
}

function sentences(goals: [isMissed: boolean, sentence: string][]): string[] {
  return goals.flatMap(([isMissed, sentence]) => (isMissed ? sentence : []));
}
