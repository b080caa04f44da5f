import { Temporal } from 'temporal-polyfill';

/** A calendar day of budgets. */
export interface BudgetDay {
  /** Such as 20261128. */
  day: number;
  startMs: number;
  endMs: number;
  /** When the month ends. */
  monthEndMs: number;
}

/** The day of a time zone that a moment belongs to. A day may have 23 or 25 hours. */
export function budgetDayAt(timeZone: string, atMs: number): BudgetDay {
  const start = Temporal.Instant.fromEpochMilliseconds(atMs).toZonedDateTimeISO(timeZone).startOfDay();
  const monthEnd = start.with({ day: 1 }).add({ months: 1 }).startOfDay();
  return {
    day: (start.year * 100 + start.month) * 100 + start.day,
    startMs: start.epochMilliseconds,
    endMs: start.add({ days: 1 }).startOfDay().epochMilliseconds,
    monthEndMs: monthEnd.epochMilliseconds,
  };
}

/** Of a date of ISO 8601. */
export function dayOf(date: string): number {
  return Number(date.replaceAll('-', ''));
}

/** As a date of ISO 8601. */
export function isoDate(day: number): string {
  const digits = String(day);
  return `${digits.slice(0, 4)}-${digits.slice(4, 6)}-${digits.slice(6)}`;
}
