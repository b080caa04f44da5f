import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { call, inParallel, login, postMessage, statsOf } from '../../../test/support/client.js';
import { type Stack, startStack } from '../../../test/support/stack.js';
import { waitUntil } from '../../../tools/stack/wait-until.js';
import { type ProxiedPostgres, startProxiedPostgres } from '../../../test/support/proxied-postgres.js';

let postgres: ProxiedPostgres;
let refusing: Stack;
let continuing: Stack;

beforeAll(async () => {
  postgres = await startProxiedPostgres();
  // One after the other: the embedded engine migrates once.
  refusing = await startStack({ env: { DATABASE_URL: postgres.url } });
  continuing = await startStack({ env: { DATABASE_URL: postgres.url, JOURNAL_DOWN: 'continue' } });
});
afterEach(() => postgres.proxy.releaseReplies());
afterAll(async () => {
  await Promise.all([refusing.stop(), continuing.stop()]);
  await postgres.stop();
});

async function query(...statements: string[]): Promise<pg.QueryResult[]> {
  const client = new pg.Client(postgres.directUrl);
  await client.connect();
  try {
    const results: pg.QueryResult[] = [];
    for (const statement of statements) results.push(await client.query(statement));
    return results;
  } finally {
    await client.end();
  }
}

/** As after a failover to a standby. The embedded engine has one session for all connections, a server has many. */
async function setReadOnly(isReadOnly: boolean): Promise<void> {
  const database = new URL(postgres.url).pathname.slice(1);
  await query(
    'set default_transaction_read_only = off',
    `alter database "${database}" set default_transaction_read_only = ${isReadOnly ? 'on' : 'off'}`,
    `select pg_terminate_backend(pid) from pg_stat_activity
      where datname = current_database() and pid <> pg_backend_pid()`,
    `set default_transaction_read_only = ${isReadOnly ? 'on' : 'off'}`,
  );
}

const acceptedByProviders = async ({ origin }: Stack): Promise<number> =>
  (await statsOf(origin.free)).accepted + (await statsOf(origin.paid)).accepted;

async function missingOf({ origin }: Stack): Promise<string> {
  const { status, body } = await call<{ detail?: string }>(`${origin.gateway}/health/ready`);
  return status === 503 ? (body.detail ?? '') : '';
}

describe('a gateway whose Postgres is read-only', () => {
  it('refuses messages before they are sent, is not ready, and recovers by itself', async () => {
    const { gateway } = refusing.origin;
    const cookie = await login(gateway);
    expect((await postMessage(gateway, cookie)).status).toBe(200);
    await setReadOnly(true);
    await waitUntil(async () => (await missingOf(refusing)).includes('journal'), { what: 'the journal is not ready' });

    const before = await acceptedByProviders(refusing);
    for (const headers of [{}, { 'idempotency-key': randomUUID() }, { prefer: 'respond-async' }]) {
      const answer = await postMessage(gateway, cookie, { message: 'a' }, headers);
      expect({ status: answer.status, code: answer.body.code }).toEqual({ status: 503, code: 'unavailable' });
    }
    expect(await acceptedByProviders(refusing)).toBe(before);

    await setReadOnly(false);
    await waitUntil(async () => (await missingOf(refusing)) === '', { what: 'the gateway is ready' });
    expect((await postMessage(gateway, cookie)).status).toBe(200);
  });
});

describe('JOURNAL_DOWN=continue', () => {
  it('answers messages without a key while Postgres hangs, and records all of them when it goes on', async () => {
    const { gateway } = continuing.origin;
    const cookie = await login(gateway);
    const count = 400;
    // A pod goes on paying for accounts whose rights it has read.
    const isPaid = async () => (await postMessage(gateway, cookie)).body.provider === 'paid';
    await waitUntil(isPaid, { what: 'a message is paid for' });
    postgres.proxy.holdReplies();
    const startedMs = performance.now();
    const answers = await inParallel(count, 50, () => postMessage(gateway, cookie));
    const tookMs = performance.now() - startedMs;
    postgres.proxy.releaseReplies();
    expect(answers.filter(({ status }) => status !== 200)).toEqual([]);
    // One batch of 100 records takes 5 s until its statement times out. Four of them one after the other would take 20 s.
    expect(tookMs).toBeLessThan(15_000);

    const ids = answers.map(({ body }) => `'${body.id ?? ''}'`).join(',');
    const recorded = async (): Promise<number> => {
      const [result] = await query(`select id from messages where id in (${ids})`);
      return result?.rowCount ?? 0;
    };
    await waitUntil(async () => (await recorded()) === count, {
      what: 'all messages are recorded',
      deadlineMs: 30_000,
    });
  });
});
