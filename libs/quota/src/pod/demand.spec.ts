import { describe, expect, it } from '@jest/globals';
import { Demand } from './demand.js';

/** Permits prefetched when so many callers came within so many milliseconds. */
function prefetchAfter({ callers, ms, left = 1_000_000 }: { callers: number; ms: number; left?: number }): number {
  const demand = new Demand();
  demand.prefetch(0);
  for (let came = 0; came < callers; came += 1) demand.noteCaller();
  demand.noteLeft(left);
  return demand.prefetch(ms);
}

describe('Demand', () => {
  it('prefetches nothing for the first caller, which may be the only one', () => {
    const demand = new Demand();
    demand.noteCaller();
    demand.noteLeft(1_000_000);
    expect(demand.prefetch(5)).toBe(0);
  });

  it.each([
    [1, 100, 0],
    [1, 10, 1],
    [3, 10, 3],
    [1, 1, 10],
    [64, 1, 32],
    [0, 1, 0],
  ])('%d callers in %d ms prefetch %d permits', (callers, ms, prefetched) => {
    expect(prefetchAfter({ callers, ms })).toBe(prefetched);
  });

  it.each([
    [0, 0],
    [999, 0],
    [1_000, 1],
    [31_999, 31],
    [32_000, 32],
    [64_000, 32],
  ])('with %d permits left, prefetches at most %d', (left, prefetched) => {
    expect(prefetchAfter({ callers: 100, ms: 1, left })).toBe(prefetched);
  });

  it('counts callers since the last step', () => {
    const demand = new Demand();
    demand.noteLeft(1_000_000);
    demand.prefetch(0);
    for (let came = 0; came < 50; came += 1) demand.noteCaller();
    demand.prefetch(10);
    demand.noteCaller();
    expect(demand.prefetch(20)).toBe(1);
  });
});
