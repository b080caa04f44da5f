import { expect, it } from '@jest/globals';
import { medianOf } from './median.js';

it.each([
  [[3, 1, 2], 2],
  [[4, 1, 3, 2], 2.5],
  [[], NaN],
])('medianOf %j is %j', (values, median) => {
  expect(medianOf(values)).toBe(median);
});
