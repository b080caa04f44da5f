import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { sql } from 'drizzle-orm';
import { startPostgres } from '../../../verification/engines/suite-postgres.js';
import { TcpProxy } from '../../../verification/engines/tcp-proxy.js';
import { type Database, inTransaction, openDatabase } from '../src/index.js';

let postgres: Awaited<ReturnType<typeof startPostgres>>;
let proxy: TcpProxy;
let db: Database;

beforeAll(async () => {
  postgres = await startPostgres();
});

afterAll(() => postgres.stop());

beforeEach(async () => {
  const url = new URL(postgres.url);
  proxy = await TcpProxy.to({ host: url.hostname, port: Number(url.port) });
  url.host = `127.0.0.1:${proxy.port}`;
  db = openDatabase(url.href, { connections: 1, statementTimeoutMs: 200 });
});

afterEach(async () => {
  await db.$client.end();
  await proxy.close();
});

const one = async (queries: Pick<Database, 'execute'>): Promise<unknown[]> =>
  (await queries.execute(sql`select 1 as n`)).rows;

describe('openDatabase', () => {
  it('aborts a query that Postgres does not answer, and continues on another connection', async () => {
    await one(db);
    proxy.holdReplies();
    await expect(one(db)).rejects.toMatchObject({ cause: { message: 'Postgres did not answer within 1200 ms' } });
    proxy.releaseReplies();
    expect(await one(db)).toEqual([{ n: 1 }]);
  });

  it('aborts a transaction when Postgres stops answering', async () => {
    const silenced = inTransaction(db, async (tx) => {
      await one(tx);
      proxy.holdReplies();
      await one(tx);
    });
    await expect(silenced).rejects.toMatchObject({ cause: { message: 'Postgres did not answer within 1200 ms' } });
    proxy.releaseReplies();
    expect(await one(db)).toEqual([{ n: 1 }]);
  });

  it('keeps an idle connection longer than the silence limit', async () => {
    const pid = async (): Promise<unknown> => (await db.execute(sql`select pg_backend_pid() as pid`)).rows[0];
    const before = await pid();
    // Waits longer than a query may be silent, on another connection.
    const other = openDatabase(postgres.url, { connections: 1 });
    await other.execute(sql`select pg_sleep(1.5)`);
    await other.$client.end();
    expect(db.$client.idleCount).toBe(1);
    expect(await pid()).toEqual(before);
  });
});
