import { Temporal } from 'temporal-polyfill';

export const CALENDAR_UNITS = ['second', 'minute', 'hour', 'day', 'week', 'month'] as const;
type CalendarUnit = (typeof CALENDAR_UNITS)[number];

/** Windows of a calendar; see `policy.ts`. */
export interface Calendar {
  every: CalendarUnit;
  timeZone: string;
  offsetMs: number;
}

/** The length of the longest unit. A day has 25 hours when daylight saving ends. */
export const LONGEST_UNIT_MS: Record<CalendarUnit, number> = {
  second: 1_000,
  minute: 60_000,
  hour: 3_600_000,
  day: 90_000_000,
  week: 7 * 86_400_000 + 3_600_000,
  month: 31 * 86_400_000 + 3_600_000,
};

export function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: name });
    return true;
  } catch {
    return false;
  }
}

/**
 * The starts of windows around a time, in Unix time in milliseconds, ascending: the window before, the current one, and
 * as many after it as `aheadMs` reaches.
 */
export function windowStartsMs(calendar: Calendar, aroundMs: number, aheadMs: number): number[] {
  const { offsetMs } = calendar;
  const current = startOfUnit(calendar, aroundMs - offsetMs);
  const starts = [add(calendar, current, -1), current];
  let last = current;
  do {
    last = add(calendar, last, 1);
    starts.push(last);
  } while (last.epochMilliseconds + offsetMs <= aroundMs + aheadMs);
  starts.push(add(calendar, last, 1));
  return starts.map((start) => start.epochMilliseconds + offsetMs);
}

/** Days, weeks and months begin at local midnight, or where there is none at the first moment after it. */
function startOfUnit({ every, timeZone }: Calendar, atMs: number): Temporal.ZonedDateTime {
  const local = Temporal.Instant.fromEpochMilliseconds(atMs).toZonedDateTimeISO(timeZone);
  switch (every) {
    case 'second':
    case 'minute':
    case 'hour':
      return exactly(local, every);
    case 'day':
      return local.startOfDay();
    case 'week':
      return local
        .startOfDay()
        .subtract({ days: local.dayOfWeek - 1 })
        .startOfDay();
    default:
      return local.with({ day: 1 }).startOfDay();
  }
}

/** By exact time: an hour that the clock shows twice is two windows. */
function exactly(local: Temporal.ZonedDateTime, every: 'second' | 'minute' | 'hour'): Temporal.ZonedDateTime {
  const unitMs = LONGEST_UNIT_MS[every];
  const shiftedMs = local.epochMilliseconds + local.offsetNanoseconds / 1e6;
  return local.subtract({ milliseconds: shiftedMs - Math.floor(shiftedMs / unitMs) * unitMs });
}

function add({ every }: Calendar, start: Temporal.ZonedDateTime, count: number): Temporal.ZonedDateTime {
  const moved = start.add({ [`${every}s`]: count });
  return every === 'day' || every === 'week' || every === 'month' ? moved.startOfDay() : moved;
}
