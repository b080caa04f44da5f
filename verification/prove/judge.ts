import { FAULTS } from './faults.js';
import type { Measures } from './measure.js';
import type { Scenario } from './scenarios.js';

/** Of the clairvoyant's free sends; the rest is what guard and answer time cost. */
const LEAST_SHARE = 0.98;
const MOST_TRIPS = 1;
const MOST_TRIPS_IN_A_CROWD = 0.2;
/** A timer on a busy machine fires late. */
const SCHEDULING_MS = 50;
/** A pod that was given no time for so long answers for nothing that must be prompt. */
const DISTURBED_MS = 50;

/** The goals of Octo that a run missed, in words; none when all is well. */
export function goalsMissed(scenario: Scenario, measures: Measures, { budgetMs }: { budgetMs: number }): string[] {
  const isCalm = scenario.fault === 'none';
  return [
    ...alwaysMissed(scenario, measures, budgetMs),
    ...(isCalm ? calmMissed(measures) : faultMissed(scenario, measures)),
  ];
}

/**
 * Whether a run says little because the machine was busy: goals of promptness were missed, and a pod had stood still.
 * A refusal, a message lost or sent twice stands, however busy it was.
 */
export function isDisturbed({ stallMs, refused, lost, twice, freeInOutage = 0 }: Measures): boolean {
  return stallMs > DISTURBED_MS && refused.ours + lost + twice + freeInOutage === 0;
}

function alwaysMissed({ atOnce }: Scenario, measures: Measures, budgetMs: number): string[] {
  const { refused, tripsPerMessage = 0, tripsWhileBlocked, longestWaitMs, lost, twice } = measures;
  const mostTrips = atOnce === undefined ? MOST_TRIPS : MOST_TRIPS_IN_A_CROWD;
  return told([
    [refused.ours > 0, `${refused.ours} refusals nobody explains`],
    [tripsPerMessage > mostTrips, `${tripsPerMessage.toFixed(2)} trips a message, more than ${mostTrips}`],
    [tripsWhileBlocked > 0, `${tripsWhileBlocked} trips to learn that it is blocked`],
    [longestWaitMs > budgetMs + SCHEDULING_MS, `a caller waited ${longestWaitMs.toFixed(0)} ms for a permit`],
    [lost > 0, `${lost} messages lost`],
    [twice > 0, `${twice} messages sent twice`],
  ]);
}

function calmMissed(measures: Measures): string[] {
  const { free, possible, explained, lagMs, lagAllowedMs, fullSpells, paidWhileOpen, carried } = measures;
  const left = fullSpells === undefined ? 0 : fullSpells.all - fullSpells.full;
  return told([
    [isTooFew({ free, possible }, measures), `${tooFew({ free, possible })}, and ${explained.toFixed(1)} explained`],
    [lagMs.p99 > lagAllowedMs, `reopening used ${lagMs.p99.toFixed(0)} ms late, more than ${lagAllowedMs.toFixed(0)}`],
    [left > 0, `${left} windows not used to their last`],
    [paidWhileOpen > carried, `${paidWhileOpen} paid while open, ${carried} of them explained`],
  ]);
}

function faultMissed({ fault }: Scenario, measures: Measures): string[] {
  const { freeInOutage = 0, recovery = { free: 0, possible: 0, refused: 0 } } = measures;
  return told([
    [freeInOutage > 0, `${freeInOutage} free sends while Redis was away`],
    [recovery.possible === 0, 'never came back'],
    [isTooFew(recovery, measures), `after the fault ${tooFew(recovery)}`],
    [recovery.refused > 0 && !FAULTS[fault].isForeign, `${recovery.refused} refusals after the fault was over`],
  ]);
}

interface Share {
  free: number;
  possible: number;
}

/** One may be missing whatever the share, and of a part of the run that part of what is explained. */
function isTooFew(share: Share, { possible, explained }: Pick<Measures, 'possible' | 'explained'>): boolean {
  const missing = share.possible - share.free;
  return missing > Math.max(1, share.possible * (1 - LEAST_SHARE), (explained * share.possible) / possible);
}

function tooFew({ free, possible }: Share): string {
  return `${free} free, less than ${LEAST_SHARE * 100} % of ${possible}`;
}

function told(goals: [isMissed: boolean, words: string][]): string[] {
  return goals.flatMap(([isMissed, words]) => (isMissed ? words : []));
}
