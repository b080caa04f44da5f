import { describe, expect, it } from '@jest/globals';
import { barsOf, dayAfter, labelled } from './bars.js';

function row(key: { day: string } | { provider: string }, free: number, paid: number) {
  return { ...key, free: { count: free }, paid: { count: paid, costMicros: 0 }, savedMicros: 0 };
}

describe('barsOf', () => {
  it('has a bar for each day between the first and the last', () => {
    const series = [row({ day: '2026-02-27' }, 1, 2), row({ day: '2026-03-02' }, 3, 0)];
    expect(barsOf(series, 'day')).toEqual([
      { key: '2026-02-27', free: 1, paid: 2 },
      { key: '2026-02-28', free: 0, paid: 0 },
      { key: '2026-03-01', free: 0, paid: 0 },
      { key: '2026-03-02', free: 3, paid: 0 },
    ]);
    expect(barsOf([], 'day')).toEqual([]);
  });

  it('has a bar for each provider', () => {
    expect(barsOf([row({ provider: 'one' }, 1, 0), row({ provider: 'two' }, 0, 4)], 'provider')).toEqual([
      { key: 'one', free: 1, paid: 0 },
      { key: 'two', free: 0, paid: 4 },
    ]);
  });
});

describe('dayAfter', () => {
  it('goes on to the next month and year', () => {
    expect([dayAfter('2028-02-28'), dayAfter('2028-02-29'), dayAfter('2026-12-31')]).toEqual([
      '2028-02-29',
      '2028-03-01',
      '2027-01-01',
    ]);
  });
});

describe('labelled', () => {
  it('leaves out labels that would overlap', () => {
    expect(labelled(4, { widthPx: 400, labelPx: 100 })).toEqual([0, 1, 2, 3]);
    expect(labelled(5, { widthPx: 400, labelPx: 100 })).toEqual([0, 2, 4]);
    expect(labelled(0, { widthPx: 400, labelPx: 100 })).toEqual([]);
  });
});
