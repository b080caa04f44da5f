import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import pg from 'pg';
import { openDatabase } from '#database';
import {
  inParallel,
  login,
  type MessageAnswer,
  postMessage,
  setFaults,
  statsOf,
} from '../../../test/support/client.js';
import { type ProxiedPostgres, startProxiedPostgres } from '../../../test/support/proxied-postgres.js';
import { type Stack, startStack } from '../../../test/support/stack.js';
import { checkLedger } from '../../../tools/ledger/check-ledger.js';
import { waitUntil } from '../../../tools/stack/wait-until.js';
import { patchAccount } from './accounts.js';
import { untilFreeIsBlocked } from './quota-of.js';

const PRICE_MICROS = 2_500;
const PODS = 4;
/** After many messages at once: a pod whose read took too long uses older rights for 5 s. */
const AFTER_LOAD_MS = 6_500;

let postgres: ProxiedPostgres;
let client: pg.Client;
let redis: Redis;
let stack: Stack;
let gateway: string;
let admin: string;
let paid: string;

beforeAll(async () => {
  postgres = await startProxiedPostgres();
  const env = {
    DATABASE_URL: postgres.url,
    FREE_LIMIT: '1',
    FREE_BLOCK_MS: '3600000',
    MESSAGES_PER_SECOND: '100000',
    QUOTA_WHEN_FORGOTTEN: 'blocked',
  };
  stack = await startStack({ pods: PODS, env });
  client = new pg.Client(postgres.directUrl);
  await client.connect();
  redis = new Redis(stack.redisUrl);
  gateway = stack.origin.gateway;
  [admin, paid] = await Promise.all([login(gateway, 'admin@octo.local'), login(gateway)]);
  await untilFreeIsBlocked(gateway, paid);
});
afterAll(async () => {
  redis?.disconnect();
  await client?.end();
  await stack?.stop();
  await postgres?.stop();
});
afterEach(() => setFaults(stack.origin.paid, {}));

const setBudget = (budget: object) => patchAccount(gateway, admin, { email: 'paid@octo.local', patch: { budget } });

const paidSends = async (): Promise<number> => (await statsOf(stack.origin.paid)).accepted;

async function sumOf(sql: string): Promise<number> {
  const { rows } = await client.query(`select coalesce(${sql}, 0)::float8 as sum`);
  return rows[0]?.sum as number;
}

const inLedger = (): Promise<number> => sumOf('(select sum(amount_micros) from ledger_entries)');
const inJournal = (): Promise<number> => sumOf('(select sum(cost_micros) from messages)');

/** Room for as many messages, besides what the ledger has for today. @returns the limit */
async function leaveRoomFor(count: number, { readWithinMs = 1_100 } = {}): Promise<number> {
  const dayMicros = (await inLedger()) + count * PRICE_MICROS;
  await setBudget({ dayMicros });
  // Each pod reads the rights of an account once a second: a message that costs nothing more does not tell.
  const startedMs = performance.now();
  await waitUntil(async () => performance.now() - startedMs > readWithinMs, { what: 'every pod has read the budget' });
  return dayMicros;
}

/** Posts a message again while the pod sheds load: it was not sent then. */
async function postUnlessShed(origin: string): Promise<MessageAnswer> {
  let answer = await postMessage(origin, paid);
  const isAnswered = async (): Promise<boolean> => {
    if (answer.status === 503) answer = await postMessage(origin, paid);
    return answer.status !== 503;
  };
  await waitUntil(isAnswered, { what: 'an answer other than 503', everyMs: 200 });
  return answer;
}

/** Posts messages at all pods until every one has an answer that is not 503. @returns how many were paid for */
async function postUntilAnswered(count: number, { pods = PODS }: { pods?: number } = {}): Promise<number> {
  const statuses = await inParallel(count, 40, async (index) => {
    const origin = stack.gateways[index % pods] ?? '';
    let status = 503;
    await waitUntil(
      async () => {
        const answer = await postMessage(origin, paid, { message: 'a' }, { 'idempotency-key': randomUUID() }).catch(
          () => undefined,
        );
        status = answer?.status ?? 0;
        return status !== 503;
      },
      { what: 'an answer', everyMs: 200, deadlineMs: 40_000 },
    );
    return status;
  });
  expect(statuses.filter((status) => status !== 200 && status !== 402 && status !== 0)).toEqual([]);
  return statuses.filter((status) => status === 200).length;
}

describe('an account with a budget', () => {
  it('is paid for up to its limit, exactly, by four pods at once', async () => {
    const before = await paidSends();
    await leaveRoomFor(123);
    const answers = await inParallel(500, 500, (index) => postUnlessShed(stack.gateways[index % PODS] ?? ''));
    const counts = [200, 402].map((status) => answers.filter((answer) => answer.status === status).length);
    expect(counts).toEqual([123, 377]);
    expect((await paidSends()) - before).toBe(123);
    expect(await inLedger()).toBe(await inJournal());
    const refused = answers.find(({ status }) => status === 402);
    expect(refused?.body).toMatchObject({
      code: 'budget_exhausted',
      budget: {
        scope: 'account',
        window: 'day',
        limitMicros: expect.any(Number),
        resetsAt: expect.stringMatching(/T00:00:00.000Z$/),
      },
    });
  });

  it('gets back what was held for a message that failed', async () => {
    await leaveRoomFor(1, { readWithinMs: AFTER_LOAD_MS });
    await setFaults(stack.origin.paid, { errorRate: 1 });
    expect((await postMessage(gateway, paid)).status).toBe(502);
    await setFaults(stack.origin.paid, {});
    expect((await postMessage(gateway, paid)).status).toBe(200);
    expect((await postMessage(gateway, paid)).status).toBe(402);
  });

  it('is not paid for beyond its limit when Redis is emptied', async () => {
    const before = await paidSends();
    await leaveRoomFor(40);
    const paidFor = postUntilAnswered(200);
    await waitUntil(async () => (await paidSends()) - before >= 10, { what: 'ten messages are paid for', everyMs: 1 });
    await redis.flushall();
    expect(await paidFor).toBe(40);
    expect((await paidSends()) - before).toBe(40);
    expect(await inLedger()).toBe(await inJournal());
  });

  it('is not paid for beyond its limit when Postgres stops to answer for three seconds', async () => {
    const before = await paidSends();
    await leaveRoomFor(40);
    const paidFor = postUntilAnswered(200);
    await waitUntil(async () => (await paidSends()) - before >= 10, { what: 'ten messages are paid for', everyMs: 1 });
    postgres.proxy.holdReplies();
    setTimeout(() => postgres.proxy.releaseReplies(), 3_000);
    expect(await paidFor).toBeLessThanOrEqual(40);
    expect((await paidSends()) - before).toBe(40);
  });

  it('is not paid for beyond its limit when a pod is killed, and gets back what that pod held', async () => {
    const before = await paidSends();
    const limit = await leaveRoomFor(40);
    const paidFor = postUntilAnswered(200);
    await waitUntil(async () => (await paidSends()) - before >= 10, { what: 'ten messages are paid for', everyMs: 1 });
    stack.process(`gateway-${PODS}`).kill('SIGKILL');
    await paidFor;
    expect((await paidSends()) - before).toBeLessThanOrEqual(40);
    const isSpent = async (): Promise<boolean> => {
      await postMessage(gateway, paid);
      return (await inLedger()) === limit;
    };
    await waitUntil(isSpent, { what: 'the whole budget is in the ledger', everyMs: 500, deadlineMs: 60_000 });
    expect((await paidSends()) - before).toBe(40);
    expect(await inLedger()).toBe(await inJournal());
  });

  it('has spent the price of a message that the provider takes with an answer that cannot be used', async () => {
    await leaveRoomFor(1);
    await setFaults(stack.origin.paid, { nonsenseRate: 1 });
    expect((await postMessage(gateway, paid)).status).toBe(502);
    await setFaults(stack.origin.paid, {});
    expect((await postMessage(gateway, paid)).status).toBe(402);
  });

  it('agrees with ledger, journal and provider in the end, and the check names what does not', async () => {
    const db = openDatabase(postgres.directUrl, { connections: 1 });
    const stats = [{ provider: 'paid', url: `${stack.origin.paid}/stats` }];
    const check = async () => (await checkLedger({ db, redis }, stats)).differences;
    try {
      await waitUntil(async () => (await check()).length === 0, { what: 'everything agrees' });
      const { rows } = await client.query(
        `delete from ledger_entries where id = (select id from ledger_entries where kind = 'paid' limit 1) returning message_id`,
      );
      const id: string = rows[0].message_id;
      expect(await check()).toEqual([
        `message ${id}: the journal says 2500, the ledger 0`,
        expect.stringMatching(/^budget [-\w]+: Redis counts \d+ on \d+, the ledger \d+$/),
        expect.stringMatching(/^budget [-\w]+: Redis counts \d+ in the month of \d+, the ledger \d+$/),
        expect.stringMatching(/^provider paid: it accepted \d+ messages, the ledger has \d+$/),
      ]);
    } finally {
      await db.$client.end();
    }
  });
});
