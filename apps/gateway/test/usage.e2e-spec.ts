import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Usage } from '#contracts';
import { call, inParallel, login, postMessage } from '../../../test/support/client.js';
import { type Stack, startStack } from '../../../test/support/stack.js';
import { accountOf } from './accounts.js';

let stack: Stack;
let gateway: string;
let paid: string;
let free: string;
let admin: string;

beforeAll(async () => {
  stack = await startStack({ env: { FREE_LIMIT: '3', FREE_BLOCK_MS: '3600000' } });
  gateway = stack.origin.gateway;
  paid = await login(gateway);
  free = await login(gateway, 'free@octo.local');
  admin = await login(gateway, 'admin@octo.local');
  await postMessage(gateway, free);
  await inParallel(5, 1, () => postMessage(gateway, paid));
});
afterAll(() => stack.stop());

const usageOf = (cookie: string, query = '') =>
  call<Usage & { code?: string }>(`${gateway}/usage${query}`, { headers: { cookie } });

describe('GET /usage', () => {
  it('says what the caller has sent and spent, and what free quota has saved', async () => {
    expect((await usageOf(paid)).body).toEqual({
      free: { count: 2 },
      paid: { count: 3, costMicros: 7_500 },
      savedMicros: 5_000,
      currency: 'USD',
    });
  });

  it.each(['day', 'provider', 'channel'])('is a series by %s', async (by) => {
    const { body } = await usageOf(paid, `?by=${by}`);
    const { series = [], free: freeSends, paid: paidSends } = body;
    expect(series.reduce((sum, row) => sum + row.free.count, 0)).toBe(freeSends.count);
    expect(series.reduce((sum, row) => sum + row.paid.costMicros, 0)).toBe(paidSends.costMicros);
    const keys = series.map((row) => row[by as 'day']);
    const today = new Date().toISOString().slice(0, 10);
    expect(keys).toEqual({ day: [today], provider: ['free', 'paid'], channel: ['default'] }[by]);
  });

  it('takes days and times, of which the last is left out', async () => {
    const today = new Date().toISOString().slice(0, 10);
    expect((await usageOf(paid, `?from=${today}`)).body.paid.count).toBe(3);
    expect((await usageOf(paid, '?from=0001-01-01')).body.paid.count).toBe(3);
    expect((await usageOf(paid, `?from=2020-01-01&to=${today}`)).body.paid.count).toBe(0);
    expect((await usageOf(paid, `?to=2020-01-01T00:00:00%2B01:00`)).body.free.count).toBe(0);
  });

  it('shows other accounts to admins only', async () => {
    const { id } = await accountOf(gateway, admin, 'paid@octo.local');
    expect((await usageOf(admin, `?account=${id}`)).body.paid.count).toBe(3);
    expect((await usageOf(admin, '?account=all')).body.free.count).toBe(3);
    expect((await usageOf(paid, `?account=${id}`)).status).toBe(200);
    for (const account of [id, 'all']) {
      const { status, body } = await usageOf(free, `?account=${account}`);
      expect({ status, code: body.code }).toEqual({ status: 403, code: 'forbidden' });
    }
  });

  it('is CSV if that is accepted', async () => {
    const answer = await fetch(`${gateway}/usage?by=provider`, { headers: { cookie: paid, accept: 'text/csv' } });
    expect(answer.headers.get('content-type')).toContain('text/csv');
    expect(await answer.text()).toBe(
      'provider,free,paid,costMicros,savedMicros,currency\r\nfree,2,0,0,5000,USD\r\npaid,0,3,7500,0,USD\r\n',
    );
  });

  it.each(['?by=hour', '?from=yesterday', '?from=2026-02-30', '?account=me', '?since=2026-01-01'])(
    'refuses %s',
    async (query) => {
      const { status, body } = await usageOf(paid, query);
      expect({ status, code: body.code }).toEqual({ status: 400, code: 'invalid_request' });
    },
  );

  it('needs a login', async () => {
    expect((await usageOf('')).status).toBe(401);
  });
});
