import { expect, it } from '@jest/globals';
import { goalsMissed, isDisturbed } from './goals.js';
import type { Measures } from './measure.js';
import { type Scenario, scenario } from './scenarios.js';

const PERFECT: Measures = {
  messages: 500,
  free: 200,
  possible: 200,
  over: 0,
  explained: 2.5,
  refused: { unexplained: 0, byUnknown: 0, probes: 0, byHidden: 0, underWay: 0, byForeign: 0, ofForeign: 0 },
  extraPaid: 0,
  lagMs: { p50: 3, p99: 6 },
  lagAllowedMs: 58,
  tripsPerMessage: 0.4,
  longestWaitMs: 5,
  stallMs: 8,
  freeInOutage: undefined,
  recovery: undefined,
};
const REFUSED = { ...PERFECT.refused, unexplained: 1 };
const missed = (but: Partial<Measures>, which: Partial<Scenario> = {}): string[] =>
  goalsMissed(scenario(which), { ...PERFECT, ...but }, { budgetMs: 100 });

it('goalsMissed is empty for a perfect run', () => {
  expect(missed({})).toEqual([]);
});

it.each<[string, Partial<Measures>]>([
  ['an unexplained refusal', { refused: REFUSED }],
  ['missing free sends', { free: 195 }],
  ['missing free sends that delays do not explain', { free: 116, possible: 120, explained: 3.2 }],
  ['a reopening used late', { lagMs: { p50: 3, p99: 59 } }],
  ['too many trips', { tripsPerMessage: 1.01 }],
  ['a long wait for a permit', { longestWaitMs: 151 }],
])('goalsMissed reports %s', (_what, but) => {
  expect(missed(but)).toHaveLength(1);
});

it('goalsMissed wants 95 % of the tokens, and no window exceeded by more than one message', () => {
  const tokens = { policy: 'tokens', estimate: 2 } as const;
  expect(missed({ free: 9_500, possible: 10_000, over: 400 }, tokens)).toEqual([]);
  expect(missed({ free: 9_499, possible: 10_000 }, tokens)).toHaveLength(1);
  expect(missed({ over: 401 }, tokens)).toHaveLength(1);
});

it('goalsMissed accepts missing free sends that delays explain', () => {
  expect(missed({ free: 117, possible: 120, explained: 3.2 })).toEqual([]);
});

it('goalsMissed judges a run with a fault by what follows the fault', () => {
  const recovery = { free: 100, possible: 100, refused: 0 };
  const fault = 'pod killed';
  expect(missed({ free: 100, recovery }, { fault })).toEqual([]);
  expect(missed({ recovery: { ...recovery, free: 97 } }, { fault })).toHaveLength(1);
  expect(missed({ recovery: { ...recovery, refused: 1 } }, { fault })).toHaveLength(1);
  expect(missed({ recovery: undefined }, { fault })).toEqual(['no recovery']);
  expect(missed({ recovery, freeInOutage: 1 }, { fault: 'Redis stopped 20 s' })).toHaveLength(1);
});

it('isDisturbed excuses a run with a stalled pod, unless the provider refused a message without a cause', () => {
  expect(isDisturbed(PERFECT)).toBe(false);
  expect(isDisturbed({ ...PERFECT, stallMs: 200 })).toBe(true);
  expect(isDisturbed({ ...PERFECT, stallMs: 200, refused: REFUSED })).toBe(false);
});
