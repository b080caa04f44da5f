import { sql } from 'drizzle-orm';
import { z } from 'zod';
import type { Database } from '#database';
import type { RedisConnection } from '#redis';

/** Where a provider of the reference apps says how many messages it accepted: its name in the providers file, and the URL. */
export interface StatsOf {
  provider: string;
  url: string;
}

export interface LedgerReport {
  entries: number;
  totalMicros: number;
  /** Each difference, in words. */
  differences: string[];
}

const totalsRow = z.tuple([z.object({ entries: z.coerce.number(), micros: z.coerce.number() })]);
const messageRows = z.array(z.object({ id: z.uuid(), cost: z.coerce.number(), paid: z.coerce.number() }));
const limitedRows = z.array(z.object({ id: z.uuid() }));
const spentRow = z.tuple([z.object({ day_micros: z.coerce.number(), month_micros: z.coerce.number() })]);
const countRow = z.tuple([z.object({ count: z.coerce.number() })]);
const statsSchema = z.object({ accepted: z.int() });

/** Most messages that are named. */
const NAMED_MAX = 20;

/**
 * Compares the ledger with the journal, with the budgets in Redis, and with what providers say. Run it while nothing is sent:
 * a message in flight is a difference.
 */
export async function checkLedger(
  { db, redis }: { db: Database; redis: RedisConnection },
  stats: readonly StatsOf[] = [],
): Promise<LedgerReport> {
  const [{ entries, micros: totalMicros }] = totalsRow.parse(
    (await db.execute(sql`select count(*) as entries, coalesce(sum(amount_micros), 0) as micros from ledger_entries`))
      .rows,
  );
  const differences = [
    ...(await differencesOfJournal(db)),
    ...(await differencesOfBudgets(db, redis)),
    ...(await Promise.all(stats.map((each) => differenceOfProvider(db, each)))).flat(),
  ];
  return { entries, totalMicros, differences };
}

async function differencesOfJournal(db: Database): Promise<string[]> {
  const { rows } = await db.execute(sql`
    with paid as (select message_id, sum(amount_micros) as micros from ledger_entries where kind = 'paid' group by 1)
    select coalesce(m.id, p.message_id) as id, coalesce(m.cost_micros, 0) as cost, coalesce(p.micros, 0) as paid
    from (select id, cost_micros from messages where cost_micros > 0) m full join paid p on p.message_id = m.id
    where coalesce(m.cost_micros, 0) <> coalesce(p.micros, 0)
    order by 1 limit ${NAMED_MAX}`);
  return messageRows
    .parse(rows)
    .map(({ id, cost, paid }) => `message ${id}: the journal says ${cost}, the ledger ${paid}`);
}

async function differencesOfBudgets(db: Database, redis: RedisConnection): Promise<string[]> {
  const { rows } = await db.execute(
    sql`select id from accounts where budget_day_micros is not null or budget_month_micros is not null`,
  );
  const limited = new Set(['deployment', ...limitedRows.parse(rows).map(({ id }) => id)]);
  const budgets = Object.entries(await redis.hgetall('octo:{budgets}:spent'));
  // The count of a budget that was lifted stands still until it is in force again.
  const inForce = budgets.filter(([id]) => limited.has(id));
  const differences = await Promise.all(inForce.map(([id, packed]) => differencesOfBudget(db, { id, packed })));
  return differences.flat();
}

async function differencesOfBudget(db: Database, { id, packed }: { id: string; packed: string }): Promise<string[]> {
  const [state = '', day = '', dayMicros, monthMicros, heldMicros] = packed.split(' ');
  if (state !== 'ready') return [`budget ${id}: it is being read from the ledger`];
  const ofBudget = id === 'deployment' ? sql`true` : sql`account_id = ${id}`;
  const date = sql`to_date(${day}, 'YYYYMMDD')`;
  const { rows } = await db.execute(sql`
    select coalesce(sum(amount_micros) filter (where day = ${date}), 0) as day_micros,
      coalesce(sum(amount_micros), 0) as month_micros
    from ledger_entries where ${ofBudget} and day >= date_trunc('month', ${date}) and day <= ${date}`);
  const [{ day_micros, month_micros }] = spentRow.parse(rows);
  return [
    ...(Number(dayMicros) === day_micros
      ? []
      : [`budget ${id}: Redis counts ${dayMicros} on ${day}, the ledger ${day_micros}`]),
    ...(Number(monthMicros) === month_micros
      ? []
      : [`budget ${id}: Redis counts ${monthMicros} in the month of ${day}, the ledger ${month_micros}`]),
    ...(Number(heldMicros) === 0 ? [] : [`budget ${id}: ${heldMicros} are held for messages that have not ended`]),
  ];
}

async function differenceOfProvider(db: Database, { provider, url }: StatsOf): Promise<string[]> {
  const { accepted } = statsSchema.parse(await (await fetch(url)).json());
  const { rows } = await db.execute(sql`
    select count(*) filter (where kind <> 'correction') - count(*) filter (where kind = 'correction') as count
    from ledger_entries where provider = ${provider}`);
  const [{ count }] = countRow.parse(rows);
  return accepted === count ? [] : [`provider ${provider}: it accepted ${accepted} messages, the ledger has ${count}`];
}
