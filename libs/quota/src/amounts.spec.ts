import { randomBytes } from 'node:crypto';
import { afterEach, describe, expect, it } from '@jest/globals';
import { waitUntil } from '../../../tools/stack/wait-until.js';
import { openQuotaRedis, type Permit, Quota, type QuotaInput, type Reservation } from './index.js';

const open: { quota: Quota; redis: ReturnType<typeof openQuotaRedis> }[] = [];
afterEach(async () => {
  for (const { quota, redis } of open.splice(0)) {
    await quota.close();
    redis.disconnect();
  }
});

const LIMIT = 1_000;
const TOKENS: QuotaInput = {
  name: 'tokens',
  unit: 'tokens',
  policy: { policy: 'sliding-window', limit: LIMIT, windowMs: 60_000 },
};
const MINUTE: QuotaInput = { name: 'minute', policy: { policy: 'sliding-window', limit: 10, windowMs: 60_000 } };

async function newPod(
  quotas = [MINUTE, TOKENS],
  { account = `account-${randomBytes(6).toString('hex')}`, timeoutMs = 1_000 } = {},
) {
  const redis = openQuotaRedis(process.env['TEST_REDIS_URL'] ?? '');
  const providers = [{ name: account, timeoutMs, quotas }];
  const quota = new Quota({ redis, providers, whenForgotten: 'fresh', budgetMs: 5_000 });
  open.push({ quota, redis });
  await waitUntil(() => redis.status === 'ready', { what: 'redis is connected' });
  return {
    account,
    quota,
    reserve: (tokens?: number): Promise<Reservation> => quota.reserve(account, tokens === undefined ? {} : { tokens }),
    settle: (permit: Permit, tokens?: number): void =>
      quota.settle(permit, { outcome: 'accepted', used: tokens === undefined ? undefined : { tokens } }),
    used: async (name = 'tokens'): Promise<number | undefined> =>
      (await quota.states(account))?.find((state) => state.name === name)?.used,
  };
}

function permitOf(reservation: Reservation): Permit {
  if (!reservation.granted) throw new Error(`no permit: ${reservation.reason}`);
  return reservation.permit;
}

describe('a quota that counts an amount for each request', () => {
  it('grants what the estimates leave room for, and takes nothing for a message that it denies', async () => {
    const { reserve, used } = await newPod();
    const reservations = [await reserve(400), await reserve(500), await reserve(200)];
    expect(reservations.map(({ granted }) => granted)).toEqual([true, true, false]);
    expect(await used()).toBe(900);
    await waitUntil(async () => (await used('minute')) === 2, { what: 'the slot of the denied message is given back' });
  });

  it('grants several messages in one step, and no part of the one that does not fit', async () => {
    const { quota, reserve, used } = await newPod([TOKENS]);
    const before = quota.trips;
    const reservations = await Promise.all([reserve(600), reserve(300), reserve(300)]);
    expect(reservations.map(({ granted }) => granted)).toEqual([true, true, false]);
    expect(quota.trips - before).toBe(1);
    await waitUntil(async () => (await used()) === 900, { what: 'the rest is given back' });
  });

  it('gives back what was estimated too high', async () => {
    const { reserve, settle, used } = await newPod();
    settle(permitOf(await reserve(900)), 100);
    await waitUntil(async () => (await used()) === 100, { what: 'the rest is given back' });
    expect((await reserve(900)).granted).toBe(true);
  });

  it('charges what was used beyond the estimate, and stays closed until time has paid it off', async () => {
    const { reserve, settle, used } = await newPod();
    settle(permitOf(await reserve(900)), 1_400);
    const denied = await reserve(1);
    expect(denied).toMatchObject({ granted: false, reason: 'blocked' });
    expect(await used()).toBe(1_400);
  });

  it('charges what was used beyond the estimate within a trip: other pods must not spend it again', async () => {
    // Answers of no consequence wait up to 10 s for a step.
    const timeoutMs = 20_000;
    const one = await newPod([TOKENS], { timeoutMs });
    const other = await newPod([TOKENS], { account: one.account, timeoutMs });
    one.settle(permitOf(await one.reserve(500)), 900);
    await waitUntil(async () => (await other.used()) === 900, { what: 'the charge is counted', deadlineMs: 3_000 });
    expect((await other.reserve(200)).granted).toBe(false);
  });

  it('reserves what recent requests used for a message without an estimate', async () => {
    const { reserve, settle, used } = await newPod();
    settle(permitOf(await reserve(300)), 240);
    await reserve();
    expect(await used()).toBe(480);
  });

  it('lets a message that is larger than the limit through alone', async () => {
    const { reserve, settle, used } = await newPod();
    const permit = permitOf(await reserve(5_000));
    expect(await used()).toBe(LIMIT);
    expect((await reserve(1)).granted).toBe(false);
    settle(permit, 5_000);
  });

  it('keeps the whole estimate of a request whose outcome is unknown, and nothing of one that was not sent', async () => {
    const { quota, reserve, used } = await newPod();
    quota.settle(permitOf(await reserve(300)), { outcome: 'unknown' });
    quota.settle(permitOf(await reserve(200)), { outcome: 'notSent' });
    await waitUntil(async () => (await used()) === 300, { what: 'the second one is given back' });
  });
});
