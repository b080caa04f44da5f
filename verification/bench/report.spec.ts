import { describe, expect, it } from '@jest/globals';
import { isMet } from './report.js';

describe('isMet', () => {
  it.each([
    [{ value: 2.5, atMost: 2.5 }, true],
    [{ value: 2.6, atMost: 2.5 }, false],
    [{ value: 6, atLeast: 6 }, true],
    [{ value: 5.9, atLeast: 6 }, false],
    [{ value: 100 }, true],
    [{ value: Number.NaN, atMost: 1 }, false],
  ])('says of %j: %s', (ratio, met) => {
    expect(isMet({ name: '', ...ratio })).toBe(met);
  });
});
