import { Temporal } from 'temporal-polyfill';
import { z } from 'zod';

/** A day, or a moment. */
const momentSchema = z.union([z.iso.date(), z.iso.datetime({ offset: true })], {
  error: 'must be a day such as 2026-11-28, or a time such as 2026-11-28T12:00:00Z (RFC 3339)',
});

export const usageQuerySchema = z.strictObject({
  from: momentSchema.optional().meta({ description: 'start of the range; by default the start of this month' }),
  to: momentSchema.optional().meta({ description: 'end of the range, not part of it; by default now' }),
  by: z.enum(['day', 'provider', 'channel']).optional(),
  account: z
    .union([z.uuid(), z.literal('all')], 'must be the id of an account, or `all`')
    .optional()
    .meta({ description: 'admin only: another account, or `all`' }),
});
export type UsageQuery = z.infer<typeof usageQuerySchema>;

/** The times that a query asks for. Days begin in this time zone. */
export function rangeOf({ from, to }: UsageQuery, timeZone: string, nowMs: number): { from: Date; to: Date } {
  const now = Temporal.Instant.fromEpochMilliseconds(nowMs).toZonedDateTimeISO(timeZone);
  const thisMonth = new Date(now.with({ day: 1 }).startOfDay().epochMilliseconds);
  return {
    from: from === undefined ? thisMonth : dateOf(from, timeZone),
    to: to === undefined ? new Date(nowMs + 1) : dateOf(to, timeZone),
  };
}

function dateOf(moment: string, timeZone: string): Date {
  const ms = moment.includes('T')
    ? Date.parse(moment)
    : Temporal.PlainDate.from(moment).toZonedDateTime({ timeZone }).startOfDay().epochMilliseconds;
  // Message ids (UUIDv7) cannot encode a time before 1970.
  return new Date(Math.max(0, ms));
}
