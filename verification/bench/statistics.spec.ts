import { describe, expect, it } from '@jest/globals';
import { slopeOf, spreadOf } from './statistics.js';

describe('spreadOf', () => {
  it.each([
    [[3, 1, 2], { median: 2, min: 1, max: 3 }],
    [[4, 1, 3, 2], { median: 2.5, min: 1, max: 4 }],
    [[5], { median: 5, min: 5, max: 5 }],
    [[], { median: NaN, min: NaN, max: NaN }],
  ])('says of %j: %j', (values, spread) => {
    expect(spreadOf(values)).toEqual(spread);
  });
});

describe('slopeOf', () => {
  it('is that of a straight line, wherever it lies', () => {
    expect(slopeOf([[10, 107], [11, 109], [13, 113]])).toBeCloseTo(2); // prettier-ignore
  });

  it('is none for what goes up and down', () => {
    expect(slopeOf([[0, 1], [1, 2], [2, 2], [3, 1]])).toBeCloseTo(0); // prettier-ignore
  });
});
