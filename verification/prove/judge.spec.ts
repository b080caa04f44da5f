import { describe, expect, it } from '@jest/globals';
import { goalsMissed, isDisturbed } from './judge.js';
import type { Measures } from './measure.js';
import { type Scenario, scenariosOf } from './scenarios.js';

const [any] = scenariosOf({ quick: true });
const scenario = (but: Partial<Scenario> = {}): Scenario => ({ ...(any as Scenario), ...but });
const PERFECT: Measures = {
  messages: 500,
  free: 200,
  possible: 200,
  explained: 2.5,
  refused: { ours: 0, byUnknown: 0, inherent: 0, byForeign: 0, ofForeign: 0 },
  unknown: 0,
  paid: 300,
  paidMore: 0,
  paidWhileOpen: 0,
  carried: 0,
  answerMs: { p50: 2, p99: 5, count: 200 },
  lagMs: { p50: 3, p99: 6, count: 3 },
  lagAllowedMs: 58,
  fullSpells: { full: 4, all: 4 },
  tripsPerMessage: 0.4,
  tripsWhileBlocked: 0,
  longestWaitMs: 5,
  stallMs: 8,
  lost: 0,
  twice: 0,
  freeInOutage: undefined,
  recovery: undefined,
};
const missed = (but: Partial<Measures>, which: Partial<Scenario> = {}): string[] =>
  goalsMissed(scenario(which), { ...PERFECT, ...but }, { budgetMs: 100 });

describe('goalsMissed', () => {
  it('is content with a run in which nothing is missing', () => {
    expect(missed({})).toEqual([]);
  });

  it.each<[string, Partial<Measures>]>([
    ['refusals', { refused: { ...PERFECT.refused, ours: 1 } }],
    ['free sends', { free: 195 }],
    ['a late reopening', { lagMs: { p50: 3, p99: 59, count: 3 } }],
    ['windows left unused', { fullSpells: { full: 3, all: 4 } }],
    ['messages paid for while it was open', { paidWhileOpen: 1 }],
    ['trips', { tripsPerMessage: 1.01 }],
    ['trips while blocked', { tripsWhileBlocked: 1 }],
    ['a long wait', { longestWaitMs: 151 }],
    ['lost messages', { lost: 1 }],
    ['messages sent twice', { twice: 1 }],
  ])('minds %s', (_what, but) => {
    expect(missed(but)).toHaveLength(1);
  });

  it('accepts what guard and answer time explain', () => {
    expect(missed({ free: 117, possible: 120, explained: 3.2 })).toEqual([]);
    expect(missed({ free: 116, possible: 120, explained: 3.2 })).toHaveLength(1);
  });

  it('allows a crowd fewer trips', () => {
    expect(missed({ tripsPerMessage: 0.21 }, { atOnce: 64 })).toHaveLength(1);
  });

  it('asks of a run with a fault only that it is exact afterwards', () => {
    const recovery = { free: 100, possible: 100, refused: 0 };
    const fault = 'pod killed';
    expect(missed({ free: 100, recovery }, { fault })).toEqual([]);
    expect(missed({ recovery: { ...recovery, free: 97 } }, { fault })).toHaveLength(1);
    expect(missed({ recovery: { ...recovery, refused: 1 } }, { fault })).toHaveLength(1);
    expect(missed({ recovery: undefined }, { fault })).toEqual(['never came back']);
    expect(missed({ recovery, freeInOutage: 1 }, { fault: 'Redis stopped 20 s' })).toHaveLength(1);
  });
});

describe('isDisturbed', () => {
  it('excuses what must be prompt by a machine that stood still', () => {
    expect(isDisturbed({ ...PERFECT, stallMs: 8 })).toBe(false);
    expect(isDisturbed({ ...PERFECT, stallMs: 200 })).toBe(true);
  });

  it('excuses no refusal, and nothing lost or sent twice', () => {
    expect(isDisturbed({ ...PERFECT, stallMs: 200, lost: 1 })).toBe(false);
    expect(isDisturbed({ ...PERFECT, stallMs: 200, twice: 1 })).toBe(false);
    expect(isDisturbed({ ...PERFECT, stallMs: 200, refused: { ...PERFECT.refused, ours: 1 } })).toBe(false);
  });
});
