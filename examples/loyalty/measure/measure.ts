import { setTimeout as sleep } from 'node:timers/promises';
import { sql } from 'drizzle-orm';
import { type Database, openDatabase } from '#database';
import { isOrderNumber } from '../src/values.js';

/** The example, as it runs. */
export interface Running {
  urls: Record<string, string>;
  databaseUrl: string;
  processes: readonly { name: string; kill: (signal: NodeJS.Signals) => void }[];
}

export interface Figures {
  orders: number;
  final: number;
  withPoints: number;
  seconds: number;
  /** Orders that were final when the worker was killed. */
  finalAtKill: number;
  accepted: number;
  /** Since the service started. */
  refused: number;
  users: number;
  /** Users whose balance is neither the sum of their entries nor what their orders are worth. */
  wrongBalances: number;
}

export const settings = { ACCRUAL_LIMIT: '100', ACCRUAL_PERIOD_MS: '1000', CLAIM_MS: '10000' };

/** Prints the figures of 2,000 orders. @returns whether they are as they must be */
export async function measure(running: Running): Promise<boolean> {
  const figures = await runOrders(running, { orders: 2_000, users: 20 });
  const { orders, final, withPoints, seconds, finalAtKill, accepted, refused, users, wrongBalances } = figures;
  const lines = [
    `orders     ${orders} of ${users} users; one of three workers killed when ${finalAtKill} were final`,
    `final      ${final} after ${seconds.toFixed(1)} s, ${withPoints} with points`,
    `questions  ${accepted} answered, ${(accepted / seconds).toFixed(0)} a second of 100; ${refused} refused (429)`,
    `balances   ${users - wrongBalances} of ${users} equal the sum of their entries and the worth of their orders`,
  ];
  process.stdout.write(`${lines.join('\n')}\n`);
  return final === orders && refused === 0 && wrongBalances === 0;
}

/** Uploads the orders, kills a worker when a quarter of them is final, and waits for the others. */
export async function runOrders(
  running: Running,
  { orders, users }: { orders: number; users: number },
): Promise<Figures> {
  const db = openDatabase(running.databaseUrl, { connections: 2 });
  const [before, firstNumber] = [await stats(running), Date.now()];
  await post(running, 'accrual', '/api/goods', { match: `tea ${firstNumber}`, reward: 10, reward_type: '%' });
  const shoppers = await Promise.all(
    Array.from({ length: users }, (_, index) => register(running, `${firstNumber}-${index}`)),
  );
  const startedAtMs = performance.now();
  const uploading = Promise.all(
    shoppers.map(async (shopper, first) => {
      for (let index = first; index < orders; index += users) await shop(running, shopper, { index, firstNumber });
    }),
  );
  const finalAtKill = await untilFinal(db, { firstNumber, count: orders / 4 });
  running.processes.find(({ name }) => name === 'worker-1')?.kill('SIGKILL');
  await uploading;
  const final = await untilFinal(db, { firstNumber, count: orders });
  const seconds = (performance.now() - startedAtMs) / 1000;
  const after = await stats(running);
  const { rows } = await db.execute<{ with_points: number }>(sql`
    select count(*)::int as with_points from loyalty.orders where accrual > 0 and number ^@ ${String(firstNumber)}`);
  const isRight = await Promise.all(shoppers.map((shopper) => hasRightBalance(running, db, shopper)));
  await db.$client.end();
  return {
    orders,
    final,
    seconds,
    finalAtKill,
    users,
    withPoints: rows[0]?.with_points ?? 0,
    accepted: after.accepted - before.accepted,
    refused: after.refused,
    wrongBalances: isRight.filter((right) => !right).length,
  };
}

interface Shopper {
  login: string;
  cookie: string;
  /** What the orders are worth, in hundredths. */
  worth: number;
}

async function register(running: Running, login: string): Promise<Shopper> {
  const response = await post(running, 'api', '/api/user/register', { login, password: 'measure' });
  const cookie = response.headers.getSetCookie()[0]?.split(';', 1)[0] ?? '';
  return { login, cookie, worth: 0 };
}

/** Each tenth order has no good with a reward. */
async function shop(running: Running, shopper: Shopper, order: { index: number; firstNumber: number }): Promise<void> {
  const price = order.index + 1;
  const isRewarded = order.index % 10 !== 9;
  const number = numberOf(`${order.firstNumber}${String(order.index).padStart(6, '0')}`);
  const goods = [{ description: isRewarded ? `tea ${order.firstNumber}` : 'coffee', price }];
  if (isRewarded) shopper.worth += price * 10;
  await post(running, 'accrual', '/api/orders', { order: number, goods });
  await post(running, 'api', '/api/user/orders', number, shopper.cookie);
}

function numberOf(digits: string): string {
  return Array.from({ length: 10 }, (_, check) => `${digits}${check}`).find(isOrderNumber) ?? '';
}

async function untilFinal(
  db: Database,
  { firstNumber, count }: { firstNumber: number; count: number },
): Promise<number> {
  for (let triesLeft = 3_000; triesLeft > 0; triesLeft -= 1) {
    const { rows } = await db.execute<{ final: number }>(sql`
      select count(*)::int as final from loyalty.orders where due_at is null and number ^@ ${String(firstNumber)}`);
    const final = rows[0]?.final ?? 0;
    if (final >= count) return final;
    await sleep(100);
  }
  throw new Error(`${count} orders were not final in time`);
}

async function hasRightBalance(running: Running, db: Database, { login, cookie, worth }: Shopper): Promise<boolean> {
  const { rows } = await db.execute<{ balance: number; sum: number }>(sql`
    select balance::int, (select coalesce(sum(amount), 0)::int from loyalty.entries where user_id = users.id) as sum
    from loyalty.users where login = ${login}`);
  const answer = await fetch(`${running.urls['api']}/api/user/balance`, { headers: { cookie } });
  const { current } = (await answer.json()) as { current: number };
  return rows[0]?.balance === worth && rows[0].sum === worth && Math.round(current * 100) === worth;
}

async function stats({ urls }: Running): Promise<{ accepted: number; refused: number }> {
  return (await (await fetch(`${urls['accrual']}/api/stats`)).json()) as { accepted: number; refused: number };
}

async function post(
  { urls }: Running,
  process: 'api' | 'accrual',
  path: string,
  body: object | string,
  cookie = '',
): Promise<Response> {
  const isText = typeof body === 'string';
  const response = await fetch(`${urls[process]}${path}`, {
    method: 'POST',
    headers: { 'content-type': isText ? 'text/plain' : 'application/json', cookie },
    body: isText ? body : JSON.stringify(body),
  });
  if (!response.ok) throw new Error(`${path} answered ${response.status}: ${await response.text()}`);
  await response.arrayBuffer();
  return response;
}
