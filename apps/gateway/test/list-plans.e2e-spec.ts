import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { sql } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/node-postgres';
import { type Database, firstIdOf, migrate, openDatabase } from '#database';
import { startPostgres } from '../../../verification/engines/suite-postgres.js';
import { cursorAfter, messagePageSchema } from '../src/journal/message-page.js';
import { MessageQueries } from '../src/journal/message-queries.service.js';

const ACCOUNT = '00000000-0000-4000-8000-000000000000';
/** The trace of every tenth message; each other message has a trace of its own. */
const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const LIMIT = 25;
const MONTH_MS = 31 * 86_400_000;

let postgres: Awaited<ReturnType<typeof startPostgres>>;
let db: Database;
let queries: MessageQueries;
let lastQuery: { text: string; params: unknown[] } = { text: '', params: [] };

beforeAll(async () => {
  postgres = await startPostgres();
  db = openDatabase(postgres.url, { statementTimeoutMs: 60_000 });
  await migrate(db);
  const logger = { logQuery: (text: string, params: unknown[]) => (lastQuery = { text, params }) };
  queries = new MessageQueries(Object.assign(drizzle(db.$client, { logger }), { $client: db.$client }));
  await insertMessages(new Date());
  await insertMessages(new Date(Date.now() + MONTH_MS));
  await db.execute(sql`
    insert into idempotency_keys (account_id, key, fingerprint, message_id, expires_at)
    select account_id, id::text, '', id, now() from messages`);
  await db.execute(sql`analyze messages`);
  await db.execute(sql`analyze idempotency_keys`);
});
afterAll(async () => {
  await db.$client.end();
  await postgres.stop();
});

/** 4,000 messages in the partition of a month. */
async function insertMessages(createdAt: Date): Promise<void> {
  const start = firstIdOf(createdAt).slice(0, 13);
  await db.execute(sql`
    insert into messages (id, account_id, status, may_pay, request_id, traceparent, cost_micros, currency, created_at, hops)
    select overlay(gen_random_uuid()::text placing ${start} from 1)::uuid, ${ACCOUNT}, 'delivered', false, '',
      '00-' || case when i % 10 = 0 then ${TRACE} else md5(i::text) end || '-00f067aa0ba902b7-00', 0, 'USD', now(), '[]'
    from generate_series(1, 4000) i`);
}

/** How Postgres ran the query of a page. */
async function planOf(query: Record<string, string>): Promise<string> {
  await queries.list(ACCOUNT, messagePageSchema.parse({ limit: String(LIMIT), ...query }));
  const explain = `explain (analyze, costs off, timing off) ${lastQuery.text}`;
  const { rows } = await db.$client.query<{ 'QUERY PLAN': string }>(explain, lastQuery.params);
  return rows.map((row) => row['QUERY PLAN']).join('\n');
}

it.each<[page: string, query: Record<string, string>]>([
  ['the first page', {}],
  ['a later page', { cursor: cursorAfter(firstIdOf(new Date(Date.now() + MONTH_MS)).replace(/0000$/, 'ffff')) }],
])('%s of a trace is read from one index, in order and without rows that it leaves out', async (_page, query) => {
  const plan = await planOf({ traceId: TRACE, ...query });
  expect(plan).toMatch(/Index Cond: .*substr\(traceparent, 4, 32\).*account_id/);
  expect(plan).not.toMatch(/Sort|Seq Scan|Bitmap|Rows Removed/);
  expect(mostRowsOf(plan)).toBe(LIMIT + 1);
});

it('the message of an idempotency key is found by its primary key, and no other row is read', async () => {
  const { items } = await queries.list(ACCOUNT, messagePageSchema.parse({ limit: '1' }));
  const plan = await planOf({ idempotencyKey: items[0]?.id ?? '' });
  expect(plan).toContain('Index Scan using idempotency_keys_account_id_key_pk');
  expect(mostRowsOf(plan)).toBe(1);
});

/** Of all steps of a plan. */
function mostRowsOf(plan: string): number {
  return Math.max(...[...plan.matchAll(/actual rows=([\d.]+)/g)].map((match) => Number(match[1])));
}
