import { sql } from 'drizzle-orm';
import { z } from 'zod';
import type { Database } from '#database';
import type { RedisConnection } from '#redis';
import { BUDGET_KEYS, unpackBudget } from '../../apps/gateway/src/money/budget-store.js';
import { DEPLOYMENT, Ledger } from '../../apps/gateway/src/money/ledger.service.js';

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
const countRow = z.tuple([z.object({ count: z.coerce.number() })]);
const statsSchema = z.object({ accepted: z.int() });

/** Most messages that are named. */
const NAMED_MAX = 20;
const STATS_TIMEOUT_MS = 5_000;

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
  const limited = new Set([DEPLOYMENT, ...limitedRows.parse(rows).map(({ id }) => id)]);
  const budgets = Object.entries(await redis.hgetall(BUDGET_KEYS.spent));
  // The count of a budget that was lifted stands still until it is in force again.
  const inForce = budgets.filter(([id]) => limited.has(id));
  const differences = await Promise.all(inForce.map(([id, packed]) => differencesOfBudget(db, { id, packed })));
  return differences.flat();
}

async function differencesOfBudget(db: Database, { id, packed }: { id: string; packed: string }): Promise<string[]> {
  const counted = unpackBudget(packed);
  if (!counted.isReady) return [`budget ${id}: it is being read from the ledger`];
  const { day, dayMicros, monthMicros, heldMicros } = counted;
  const spent = await new Ledger(db).spent(id, day);
  const differences: string[] = [];
  if (dayMicros !== spent.dayMicros)
    differences.push(`budget ${id}: Redis counts ${dayMicros} on ${day}, the ledger ${spent.dayMicros}`);
  if (monthMicros !== spent.monthMicros)
    differences.push(
      `budget ${id}: Redis counts ${monthMicros} in the month of ${day}, the ledger ${spent.monthMicros}`,
    );
  if (heldMicros !== 0) differences.push(`budget ${id}: ${heldMicros} are held for messages that have not ended`);
  return differences;
}

async function differenceOfProvider(db: Database, { provider, url }: StatsOf): Promise<string[]> {
  const { accepted } = statsSchema.parse(
    await (await fetch(url, { signal: AbortSignal.timeout(STATS_TIMEOUT_MS) })).json(),
  );
  const { rows } = await db.execute(sql`
    select count(*) filter (where kind <> 'correction') - count(*) filter (where kind = 'correction') as count
    from ledger_entries where provider = ${provider}`);
  const [{ count }] = countRow.parse(rows);
  return accepted === count ? [] : [`provider ${provider}: it accepted ${accepted} messages, the ledger has ${count}`];
}
