import { expect, it } from '@jest/globals';
import { medianOf, tableOf } from './report.js';

it.each([
  [[3, 1, 2], 2],
  [[4, 1, 3, 2], 2.5],
  [[], NaN],
])('medianOf %j is %j', (values, median) => {
  expect(medianOf(values)).toBe(median);
});

it.each([
  [{ name: 'ratio', atMost: 2, value: 2 }, false],
  [{ name: 'ratio', atMost: 2, value: 2.1 }, true],
  [{ name: 'ratio', atLeast: 2, value: NaN }, true],
])('tableOf marks the goal %j as missed: %j', (goal, isMissed) => {
  const { notes = [] } = tableOf('title', [], new Map(), [goal]);
  expect(notes[0]?.includes('MISSED')).toBe(isMissed);
});
