import { describe, expect, it } from '@jest/globals';
import { ArrivalRate } from './arrival-rate.js';

const MEMORIES = { recentMs: 10_000, usualMs: 120_000 };

function rateAfter({ perSecond, seconds }: { perSecond: number; seconds: number }): ArrivalRate {
  const rate = new ArrivalRate(MEMORIES, 0);
  for (let arrival = 1; arrival <= perSecond * seconds; arrival += 1) rate.note((arrival * 1_000) / perSecond);
  return rate;
}

describe('ArrivalRate', () => {
  it('estimates a steady rate within 5 s', () => {
    for (const seconds of [5, 60, 600]) {
      const { recent, usual } = rateAfter({ perSecond: 20, seconds }).perSecond(seconds * 1_000);
      expect(recent / 20).toBeCloseTo(1, 1);
      // The estimate takes an age below a quarter of the memory as that quarter.
      expect(usual / 20).toBeCloseTo(seconds < 30 ? seconds / 26.5 : 1, 1);
    }
  });

  it('lets the recent rate decay fast and the usual rate slowly after the last arrival', () => {
    const { recent, usual } = rateAfter({ perSecond: 20, seconds: 600 }).perSecond(630_000);
    expect(recent).toBeCloseTo(20 * Math.exp(-3), 1);
    expect(usual).toBeCloseTo(20 * Math.exp(-0.25), 0);
  });

  it('stays below one arrival a second after a first arrival', () => {
    const rate = new ArrivalRate(MEMORIES, 0);
    rate.note(1);
    expect(rate.perSecond(1).recent).toBeLessThan(1);
  });

  it('does not change when the clock goes back', () => {
    const rate = rateAfter({ perSecond: 20, seconds: 600 });
    const before = rate.perSecond(600_000);
    expect(rate.perSecond(599_000)).toEqual(before);
  });
});
