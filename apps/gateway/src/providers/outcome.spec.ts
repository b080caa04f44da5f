import { describe, expect, it } from '@jest/globals';
import { type Outcome, outcomeOf } from './outcome.js';

describe('outcomeOf', () => {
  it.each<[status: number, namesWait: boolean, outcome: Outcome]>([
    [200, false, 'delivered'],
    [202, true, 'delivered'],
    [299, false, 'delivered'],
    [429, false, 'refused'],
    [429, true, 'refused'],
    [403, true, 'refused'],
    [503, true, 'refused'],
    [529, true, 'refused'],
    [420, true, 'refused'],
    [400, true, 'rejected'],
    [405, false, 'rejected'],
    [406, false, 'rejected'],
    [409, false, 'rejected'],
    [410, false, 'rejected'],
    [411, false, 'rejected'],
    [413, false, 'rejected'],
    [414, false, 'rejected'],
    [415, false, 'rejected'],
    [422, false, 'rejected'],
    [401, false, 'unauthorized'],
    [401, true, 'unauthorized'],
    [402, false, 'unauthorized'],
    [403, false, 'unauthorized'],
    [407, false, 'unauthorized'],
    [503, false, 'failed'],
    [529, false, 'failed'],
    [420, false, 'failed'],
    [500, true, 'failed'],
    [301, false, 'failed'],
    [404, false, 'failed'],
  ])('takes %i (names a wait: %s) for %s', (status, namesWait, outcome) => {
    expect(outcomeOf({ status, namesWait })).toBe(outcome);
  });
});
