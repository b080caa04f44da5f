import { describe, expect, it } from '@jest/globals';
import { Demand } from './demand.js';

/** After so many have come within so many milliseconds. */
function aheadAfter({ callers, ms, left = 1_000_000 }: { callers: number; ms: number; left?: number }): number {
  const demand = new Demand();
  demand.ahead(0);
  for (let came = 0; came < callers; came += 1) demand.note();
  demand.noteLeft(left);
  return demand.ahead(ms);
}

describe('Demand', () => {
  it('takes nothing ahead for the first, of whom nobody knows whether another follows', () => {
    const demand = new Demand();
    demand.note();
    demand.noteLeft(1_000_000);
    expect(demand.ahead(5)).toBe(0);
  });

  it.each([
    [1, 100, 0],
    [1, 10, 1],
    [3, 10, 3],
    [1, 1, 10],
    [64, 1, 32],
    [0, 1, 0],
  ])('%d callers in %d ms: %d ahead', (callers, ms, ahead) => {
    expect(aheadAfter({ callers, ms })).toBe(ahead);
  });

  it.each([
    [0, 0],
    [999, 0],
    [1_000, 1],
    [31_999, 31],
    [32_000, 32],
    [64_000, 32],
  ])('with %d left to all: at most %d ahead', (left, ahead) => {
    expect(aheadAfter({ callers: 100, ms: 1, left })).toBe(ahead);
  });

  it('counts callers from the last step on', () => {
    const demand = new Demand();
    demand.noteLeft(1_000_000);
    demand.ahead(0);
    for (let came = 0; came < 50; came += 1) demand.note();
    demand.ahead(10);
    demand.note();
    expect(demand.ahead(20)).toBe(1);
  });
});
