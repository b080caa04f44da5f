import { describe, expect, it } from '@jest/globals';
import { type Calendar, CALENDAR_UNITS, windowStartsMs } from './calendar.js';

const ZONES = ['UTC', 'America/Los_Angeles', 'Europe/Berlin', 'Australia/Lord_Howe', 'Asia/Kathmandu'];
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

const startOf = (calendar: Partial<Calendar>, at: string): string => {
  const whole = { every: 'day', timeZone: 'UTC', offsetMs: 0, ...calendar } as const;
  return new Date(windowStartsMs(whole, Date.parse(at), 0)[1] ?? NaN).toISOString();
};

describe('a calendar window', () => {
  it.each<[string, Partial<Calendar>, string, string]>([
    ['a day in Los Angeles', { timeZone: 'America/Los_Angeles' }, '2026-01-10T07:59:59Z', '2026-01-09T08:00:00.000Z'],
    [
      'the day on which the clock goes forward',
      { timeZone: 'Europe/Berlin' },
      '2026-03-29T12:00:00Z',
      '2026-03-28T23:00:00.000Z',
    ],
    ['the day after it', { timeZone: 'Europe/Berlin' }, '2026-03-29T22:00:00Z', '2026-03-29T22:00:00.000Z'],
    ['a day without midnight', { timeZone: 'America/Santiago' }, '2026-09-06T12:00:00Z', '2026-09-06T04:00:00.000Z'],
    ['a month', { every: 'month' }, '2026-02-28T23:59:59Z', '2026-02-01T00:00:00.000Z'],
    ['a week', { every: 'week' }, '2026-11-29T12:00:00Z', '2026-11-23T00:00:00.000Z'],
    [
      'an hour in Nepal',
      { every: 'hour', timeZone: 'Asia/Kathmandu' },
      '2026-01-01T00:20:00Z',
      '2026-01-01T00:15:00.000Z',
    ],
    ['a day with an offset', { offsetMs: 6 * HOUR_MS }, '2026-01-02T05:00:00Z', '2026-01-01T06:00:00.000Z'],
    ['a minute', { every: 'minute' }, '2026-01-01T00:20:31.5Z', '2026-01-01T00:20:00.000Z'],
  ])('%s begins on time', (_what, calendar, at, start) => {
    expect(startOf(calendar, at)).toBe(start);
  });

  it('has the second hour of a clock that is set back as a window of its own', () => {
    const berlin = { every: 'hour', timeZone: 'Europe/Berlin' } as const;
    expect(startOf(berlin, '2026-10-25T00:30:00Z')).toBe('2026-10-25T00:00:00.000Z');
    expect(startOf(berlin, '2026-10-25T01:30:00Z')).toBe('2026-10-25T01:00:00.000Z');
  });
});

/** Local date and hour by another implementation: that of `Intl`. */
function localPartsOf(atMs: number, timeZone: string): { date: string; month: string; hour: string } {
  const parts = new Intl.DateTimeFormat('en-CA', { timeZone, dateStyle: 'short', timeStyle: 'short', hour12: false });
  const [date = '', time = ''] = parts.format(atMs).split(', ');
  return { date, month: date.slice(0, 7), hour: time.slice(0, 2) };
}

describe('invariant 14, the windows of 2026 to 2036', () => {
  it.each(ZONES)(
    'in %s change exactly where the local date and month do, around every clock change and month end',
    (timeZone) => {
      let previous = { offset: 0, month: '' };
      let checked = 0;
      for (let dayMs = Date.UTC(2026, 0, 1); dayMs < Date.UTC(2037, 0, 1); dayMs += DAY_MS) {
        const { month, hour } = localPartsOf(dayMs, timeZone);
        const isNoteworthy = month !== previous.month || Number(hour) !== previous.offset;
        previous = { offset: Number(hour), month };
        if (!isNoteworthy) continue;
        checked += 1;
        for (const every of ['day', 'month'] as const) {
          const starts = windowStartsMs({ every, timeZone, offsetMs: 0 }, dayMs, 0);
          for (const startMs of starts) {
            const [before, after] = [localPartsOf(startMs - 1, timeZone), localPartsOf(startMs, timeZone)];
            if (before[every === 'day' ? 'date' : 'month'] === after[every === 'day' ? 'date' : 'month']) {
              throw new Error(`${every} in ${timeZone} begins at ${new Date(startMs).toISOString()}`);
            }
          }
          const ascending = starts.toSorted((one, other) => one - other);
          expect(starts).toEqual(ascending);
        }
      }
      expect(checked).toBeGreaterThanOrEqual(132);
    },
  );

  it.each(CALENDAR_UNITS)('of a %s surround their time', (every) => {
    for (const timeZone of ZONES) {
      for (let atMs = Date.UTC(2026, 2, 1); atMs < Date.UTC(2026, 10, 30); atMs += 7.3 * DAY_MS) {
        const starts = windowStartsMs({ every, timeZone, offsetMs: 0 }, atMs, 5_000);
        expect(starts[1]).toBeLessThanOrEqual(atMs);
        expect(starts[2]).toBeGreaterThan(atMs);
        expect(starts.at(-2)).toBeGreaterThan(atMs + 5_000);
      }
    }
  });
});
