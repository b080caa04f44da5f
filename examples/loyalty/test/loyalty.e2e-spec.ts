import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { sql } from 'drizzle-orm';
import { z } from 'zod';
import { type Database, openDatabase } from '#database';
import { LimitedClient, limitedClientSettings } from '#limited-client';
import type { Permit } from '#quota';
import { Readiness } from '#service';
import { randomName } from '../../../test/support/stack.js';
import { startExample } from '../../../test/support/example.js';
import { waitUntil } from '../../../tools/stack/wait-until.js';
import { runOrders } from '../measure/measure.js';
import { isOrderNumber } from '../src/values.js';
import { checkSettings, OrderChecks } from '../src/worker/order-checks.js';

/** A second. Low: a slow machine must be able to exceed it. */
const LIMIT = 30;

let example: Awaited<ReturnType<typeof startExample>>;
let db: Database;
beforeAll(async () => {
  example = await startExample('loyalty', {
    ACCRUAL_LIMIT: String(LIMIT),
    ACCRUAL_PERIOD_MS: '1000',
    ACCRUAL_PROCESSING_MS: '300',
    CHECK_DELAY_MS: '200',
    CLAIM_MS: '6000',
  });
  db = openDatabase(example.databaseUrl, { connections: 2 });
});
afterAll(async () => {
  await db?.$client.end();
  await example?.stop();
});

interface Call {
  body?: object | string | undefined;
  cookie?: string;
  type?: string;
  service?: 'api' | 'accrual';
}

async function call(method: 'GET' | 'POST', path: string, { body, cookie = '', type, service = 'api' }: Call = {}) {
  const isText = typeof body === 'string';
  const response = await fetch(`${example.urls[service]}${path}`, {
    method,
    headers: {
      cookie,
      ...(body !== undefined && { 'content-type': type ?? (isText ? 'text/plain' : 'application/json') }),
    },
    ...(body !== undefined && { body: isText ? body : JSON.stringify(body) }),
  });
  const text = await response.text();
  const isJson = response.headers.get('content-type')?.includes('json') ?? false;
  return { status: response.status, headers: response.headers, body: isJson ? (JSON.parse(text) as unknown) : text };
}

async function register(login = randomName('user')): Promise<string> {
  const { status, headers } = await call('POST', '/api/user/register', { body: { login, password: 'secret' } });
  expect(status).toBe(200);
  return headers.getSetCookie()[0]?.split(';', 1)[0] ?? '';
}

let lastNumber = 4_000_000;
function newNumber(): string {
  lastNumber += 1;
  return Array.from({ length: 10 }, (_, check) => `${lastNumber}${check}`).find(isOrderNumber) ?? '';
}

const statusOf = async (...args: Parameters<typeof call>): Promise<number> => (await call(...args)).status;
const upload = (cookie: string, number: string) => statusOf('POST', '/api/user/orders', { cookie, body: number });
const ordersOf = async (cookie: string) =>
  (await call('GET', '/api/user/orders', { cookie })).body as { status: string }[];
const balanceOf = async (cookie: string) => (await call('GET', '/api/user/balance', { cookie })).body;
const withdraw = (cookie: string, body: object) => statusOf('POST', '/api/user/balance/withdraw', { cookie, body });

/** An order that the accrual service knows; worth `points`, or without a reward. */
async function buy({ points }: { points?: number }): Promise<string> {
  const [order, description] = [newNumber(), randomName('good')];
  const good = { match: description, reward: points, reward_type: 'pt' };
  if (points !== undefined) expect(await statusOf('POST', '/api/goods', { service: 'accrual', body: good })).toBe(200);
  const body = { order, goods: [{ description: `a ${description}`, price: 9.99 }] };
  expect(await statusOf('POST', '/api/orders', { service: 'accrual', body })).toBe(202);
  return order;
}

async function uploadUntilFinal(cookie: string, number: string): Promise<void> {
  await upload(cookie, number);
  const isFinal = async () => ['INVALID', 'PROCESSED'].includes((await ordersOf(cookie))[0]?.status ?? '');
  await waitUntil(isFinal, { what: `order ${number} is final`, everyMs: 50 });
}

describe('users', () => {
  it('register once, and log in with their password only', async () => {
    const login = randomName('user');
    expect(await register(login)).toMatch(/^octo_token=/);
    const post = (path: string, body: object) => statusOf('POST', `/api/user/${path}`, { body });
    expect(await post('register', { login, password: 'other' })).toBe(409);
    expect(await post('login', { login, password: 'secret' })).toBe(200);
    expect(await post('login', { login, password: 'wrong' })).toBe(401);
    expect(await post('login', { login: randomName('unregistered'), password: 'secret' })).toBe(401);
    expect(await post('register', { login })).toBe(400);
    expect(await post('login', { login, password: 'secret', extra: 1 })).toBe(400);
  });

  it('need a valid cookie for everything else', async () => {
    for (const [method, path] of [
      ['GET', 'orders'],
      ['POST', 'orders'],
      ['GET', 'balance'],
      ['POST', 'balance/withdraw'],
      ['GET', 'withdrawals'],
    ] as const) {
      const body = method === 'POST' ? { order: '1', sum: 1 } : undefined;
      expect(await statusOf(method, `/api/user/${path}`, { body })).toBe(401);
      expect(await statusOf(method, `/api/user/${path}`, { body, cookie: 'octo_token=a.b.c' })).toBe(401);
    }
  });
});

describe('orders', () => {
  it('belong to the user who uploads them first', async () => {
    const [one, other] = [await register(), await register()];
    const number = newNumber();
    expect([await upload(one, number), await upload(one, `${number}\n`), await upload(other, number)]).toEqual([
      202, 200, 409,
    ]);
  });

  it('need a number with a right check digit, as text', async () => {
    const cookie = await register();
    for (const wrong of ['12345678904', '1234567890x', '0']) expect(await upload(cookie, wrong)).toBe(422);
    for (const body of ['', ' ', { order: '12345678903' }]) {
      expect(await statusOf('POST', '/api/user/orders', { cookie, body })).toBe(400);
    }
    const form = { cookie, body: '12345678903', type: 'application/x-www-form-urlencoded' };
    expect(await statusOf('POST', '/api/user/orders', form)).toBe(415);
  });

  it('are listed newest first, and get 204 while there are none', async () => {
    const cookie = await register();
    expect(await statusOf('GET', '/api/user/orders', { cookie })).toBe(204);
    const numbers = [newNumber(), newNumber(), newNumber()];
    for (const number of numbers) await upload(cookie, number);
    const listed = await ordersOf(cookie);
    expect(listed).toEqual(
      numbers.toReversed().map((number) => ({
        number,
        status: 'NEW',
        uploaded_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      })),
    );
  });

  it('bring the points that the accrual service names, to the hundredth', async () => {
    const cookie = await register();
    await uploadUntilFinal(cookie, await buy({ points: 729.98 }));
    await uploadUntilFinal(cookie, await buy({ points: 0.03 }));
    await uploadUntilFinal(cookie, await buy({}));
    expect(await ordersOf(cookie)).toMatchObject([
      { status: 'INVALID' },
      { status: 'PROCESSED', accrual: 0.03 },
      { status: 'PROCESSED', accrual: 729.98 },
    ]);
    expect(await balanceOf(cookie)).toEqual({ current: 730.01, withdrawn: 0 });
  });

  it('that are new go before old ones that wait for hours', async () => {
    const cookie = await register();
    await db.execute(sql`
      insert into loyalty.orders (number, user_id, checks, due_at, late_at)
      select 'old-' || n, (select id from loyalty.users limit 1), 20, now(), now() + interval '1 hour'
      from generate_series(1, 2000) as n`);
    await uploadUntilFinal(cookie, await buy({ points: 1 }));
    const { rows } = await db.execute<{ waiting: number }>(sql`
      select count(*)::int as waiting from loyalty.orders where number like 'old-%' and checks = 20`);
    await db.execute(sql`delete from loyalty.orders where number like 'old-%'`);
    // All would have been checked first, in more than a minute.
    expect(rows[0]?.waiting).toBeGreaterThan(1_000);
  });
});

describe('withdrawals', () => {
  it('take points that are there, and are listed', async () => {
    const cookie = await register();
    expect(await statusOf('GET', '/api/user/withdrawals', { cookie })).toBe(204);
    await uploadUntilFinal(cookie, await buy({ points: 10.5 }));
    const order = newNumber();
    expect(await withdraw(cookie, { order, sum: 10.51 })).toBe(402);
    expect(await withdraw(cookie, { order: '12345678904', sum: 1 })).toBe(422);
    for (const sum of [0, -1, 0.001, '1']) expect(await withdraw(cookie, { order, sum })).toBe(400);
    expect(await withdraw(cookie, { order, sum: 4.2 })).toBe(200);
    expect(await balanceOf(cookie)).toEqual({ current: 6.3, withdrawn: 4.2 });
    const { body } = await call('GET', '/api/user/withdrawals', { cookie });
    expect(body).toEqual([{ order, sum: 4.2, processed_at: expect.stringMatching(/Z$/) }]);
  });

  it('never take the balance below zero, also 50 at once', async () => {
    const cookie = await register();
    await uploadUntilFinal(cookie, await buy({ points: 100 }));
    const statuses = await Promise.all(
      Array.from({ length: 50 }, () => withdraw(cookie, { order: newNumber(), sum: 9.5 })),
    );
    expect(statuses.filter((status) => status === 200)).toHaveLength(10);
    expect(statuses.filter((status) => status === 402)).toHaveLength(40);
    expect(await balanceOf(cookie)).toEqual({ current: 5, withdrawn: 95 });
  });
});

it('workers finish every order once and are never refused, although one of them is killed', async () => {
  const figures = await runOrders(example, { orders: 200, users: 5 });
  expect(figures).toMatchObject({ orders: 200, final: 200, withPoints: 180, refused: 0, wrongBalances: 0 });
  expect(example.log.some(({ app, event }) => app === 'worker-1' && event === 'process ended, restarting')).toBe(true);
});

it('two workers that check one order at once credit it once', async () => {
  const cookie = await register();
  const number = await buy({ points: 7 });
  await uploadUntilFinal(cookie, number);
  await db.execute(sql`
    with entry as (delete from loyalty.entries where order_number = ${number} returning user_id),
      reset as (update loyalty.users set balance = 0 from entry where id = user_id)
    update loyalty.orders set status = 'NEW', due_at = now() + interval '1 hour' where number = ${number}`);
  const settings = z.object(limitedClientSettings).parse({ REDIS_URL: example.redisUrl, QUOTA_BUDGET_MS: 5_000 });
  const policy = { policy: 'sliding-window' as const, limit: LIMIT, windowMs: 1_000 };
  const client = new LimitedClient({ name: 'accrual', policy, timeoutMs: 5_000, settings }, new Readiness());
  const checks = new OrderChecks(db, client, z.object(checkSettings).parse({ ACCRUAL_URL: example.urls['accrual'] }));
  try {
    let permits: Permit[] = [];
    await waitUntil(async () => (permits = (await client.reserve(2)).permits).length === 2, { what: 'two permits' });
    await Promise.all(permits.map((permit) => checks.work(number, permit)));
    expect(await balanceOf(cookie)).toEqual({ current: 7, withdrawn: 0 });
  } finally {
    await client.onApplicationShutdown();
  }
});

describe('the accrual service', () => {
  it('knows an order once, and answers 204 for others', async () => {
    const order = await buy({ points: 1 });
    const body = { order, goods: [{ description: 'tea', price: 1 }] };
    expect(await statusOf('POST', '/api/orders', { service: 'accrual', body })).toBe(409);
    expect(await statusOf('POST', '/api/orders', { service: 'accrual', body: { order: '1', goods: [] } })).toBe(400);
    expect(await statusOf('GET', `/api/orders/${newNumber()}`, { service: 'accrual' })).toBe(204);
  });

  it('refuses more questions than its limit, with the time to wait', async () => {
    const asked = await Promise.all(
      Array.from({ length: 4 * LIMIT }, () => call('GET', `/api/orders/${newNumber()}`, { service: 'accrual' })),
    );
    const refusal = asked.find(({ status }) => status === 429);
    expect(refusal?.body).toBe(`No more than ${LIMIT} requests per 1000 ms allowed`);
    expect(refusal?.headers.get('retry-after')).toBe('1');
    expect(refusal?.headers.get('content-type')).toMatch(/^text\/plain/);
  });
});

it.each(['api', 'accrual'])('%s describes itself at /openapi.json and /docs', async (service) => {
  const document = (await (await fetch(`${example.urls[service]}/openapi.json`)).json()) as { paths: object };
  expect(Object.keys(document.paths).length).toBeGreaterThan(3);
  expect((await fetch(`${example.urls[service]}/docs`)).status).toBe(200);
});
