import { expect, it } from '@jest/globals';
import { tableOf } from './report.js';

it.each([
  [{ name: 'ratio', atMost: 2, value: 2 }, false],
  [{ name: 'ratio', atMost: 2, value: 2.1 }, true],
  [{ name: 'ratio', atLeast: 2, value: NaN }, true],
])('tableOf marks the goal %j as missed: %j', (goal, isMissed) => {
  const { notes = [] } = tableOf('title', [], new Map(), [goal]);
  expect(notes[0]?.includes('MISSED')).toBe(isMissed);
});
