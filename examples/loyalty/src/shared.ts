import { fileURLToPath } from 'node:url';
import { sql } from 'drizzle-orm';
import { DatabaseModule } from '#database';
import { RedisSignal, wholeNumber } from '#service';

/** How many questions about orders the accrual service answers: it enforces them, and the workers keep to them. */
export const accrualLimitSettings = {
  ACCRUAL_LIMIT: wholeNumber({ min: 1, max: 1_000_000 }).default(100),
  ACCRUAL_PERIOD_MS: wholeNumber({ min: 100, max: 3_600_000 }).default(60_000),
};

/** The tables of the example, in the schema `loyalty`. */
export const openTables = (url: string) =>
  DatabaseModule.open({ url, isRequired: true, migrations: fileURLToPath(new URL('../migrations', import.meta.url)) });

/** From the API to the workers. */
export const newOrderSignal = (url: string) => ({
  provide: RedisSignal,
  useFactory: () => new RedisSignal({ url, channel: 'loyalty:new-order' }),
});

/** A timestamp column as RFC 3339. */
export const utc = (column: string) =>
  sql`to_char(${sql.identifier(column)} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`;
