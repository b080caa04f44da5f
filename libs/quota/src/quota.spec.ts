import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { Redis } from 'ioredis';
import { TcpProxy } from '../../../test/support/tcp-proxy.js';
import { waitUntil } from '../../../tools/stack/wait-until.js';
import type { Permit, QuotaEvent } from './permit.js';
import { QUOTA_REDIS_OPTIONS } from './store/quota-redis.js';
import { Quota, type QuotaOptions } from './quota.js';

const LIMIT = 10;
const redisUrl = new URL(process.env['TEST_REDIS_URL'] ?? '');

let provider: string;
let proxy: TcpProxy;
let events: QuotaEvent[];
const open: { quota: Quota; redis: Redis }[] = [];

beforeEach(async () => {
  provider = `quota-${randomBytes(6).toString('hex')}`;
  proxy = await TcpProxy.to({ host: redisUrl.hostname, port: Number(redisUrl.port) });
  events = [];
});
afterEach(async () => {
  await Promise.all(
    open.splice(0).map(async ({ quota, redis }) => {
      await quota.close();
      redis.disconnect();
    }),
  );
  await proxy.close();
});

/** One pod, connected through the proxy. */
async function newPod({ blockMs = 60_000, ...options }: Partial<QuotaOptions> & { blockMs?: number } = {}) {
  const redis = new Redis(proxy.port, '127.0.0.1', QUOTA_REDIS_OPTIONS);
  redis.on('error', () => {});
  await waitUntil(() => redis.status === 'ready', { what: 'redis is connected' });
  const policy = { policy: 'count-then-block', limit: LIMIT, blockMs, startsAt: 'last-accept' } as const;
  const quota = new Quota({
    redis,
    providers: [{ name: provider, policy, timeoutMs: 200 }],
    whenForgotten: 'fresh',
    // Patient, so that a busy machine is not taken for a slow Redis; tests of impatience say so.
    budgetMs: 10_000,
    permitMs: 5_000,
    onEvent: (event) => events.push(event),
    ...options,
  });
  open.push({ quota, redis });
  return quota;
}

async function take(quota: Quota): Promise<Permit | undefined> {
  const reservation = await quota.reserve(provider);
  return reservation.granted ? reservation.permit : undefined;
}

/** Takes and settles as accepted until the quota grants no more. */
async function spend(quota: Quota): Promise<number> {
  let spent = 0;
  for (let permit = await take(quota); permit !== undefined; permit = await take(quota)) {
    quota.settle(permit, { outcome: 'accepted' });
    spent += 1;
  }
  return spent;
}

const usedOf = async (quota: Quota): Promise<number | undefined> => (await quota.state(provider))?.used;

describe('pods that share nothing but Redis', () => {
  it('are granted exactly the limit between them', async () => {
    const pods = await Promise.all([newPod(), newPod(), newPod(), newPod()]);
    const permits = await Promise.all(pods.flatMap((pod) => Array.from({ length: 25 }, () => take(pod))));
    expect(permits.filter((permit) => permit !== undefined)).toHaveLength(LIMIT);
  });

  it('use it to its last, also where permits are taken ahead', async () => {
    const limit = 40_000;
    const policy = { policy: 'count-then-block', limit, blockMs: 60_000 } as const;
    const providers = [{ name: provider, policy, timeoutMs: 5_000 }];
    const pods = await Promise.all([newPod({ providers }), newPod({ providers }), newPod({ providers })]);
    const spent = await Promise.all(pods.map(spend));
    expect(spent.reduce((sum, each) => sum + each, 0)).toBe(limit);
    expect(pods.reduce((trips, pod) => trips + pod.trips, 0)).toBeLessThan(limit);
  });

  it('open the next window with all of it', async () => {
    const [one, other] = await Promise.all([newPod({ blockMs: 150 }), newPod({ blockMs: 150 })]);
    expect(await spend(one)).toBe(LIMIT);
    await waitUntil(async () => (await one.state(provider))?.state === 'open', { what: 'the quota reopens' });
    expect((await spend(one)) + (await spend(other))).toBe(LIMIT);
  });

  it('see a slot that one of them gave back', async () => {
    const [one, other] = await Promise.all([newPod(), newPod()]);
    const permits = await Promise.all(Array.from({ length: LIMIT }, () => take(one)));
    expect(await take(other)).toBeUndefined();
    one.settle(permits[0] as Permit, { outcome: 'notSent' });
    await waitUntil(async () => (await take(other)) !== undefined, { what: 'the other pod gets the slot' });
  });
});

describe('trips to Redis', () => {
  it('are shared by all who ask at the same time', async () => {
    const quota = await newPod();
    await Promise.all(Array.from({ length: 64 }, () => quota.reserve(provider)));
    expect(quota.trips).toBe(1);
  });

  it('are not made while the quota is known to be blocked', async () => {
    const quota = await newPod();
    await spend(quota);
    await waitUntil(async () => (await quota.state(provider))?.state === 'blocked', { what: 'the quota is blocked' });
    const before = quota.trips;
    const answers = await Promise.all(Array.from({ length: 100 }, () => quota.reserve(provider)));
    expect(new Set(answers.map((answer) => !answer.granted && answer.reason))).toEqual(new Set(['blocked']));
    expect(quota.trips).toBe(before);
  });

  it('are not made for those who came while the reply was on its way that says blocked', async () => {
    const quota = await newPod();
    await spend(quota);
    const other = await newPod();
    proxy.holdReplies();
    const first = other.reserve(provider);
    await Promise.resolve();
    const second = other.reserve(provider);
    proxy.releaseReplies();
    await Promise.all([first, second]);
    expect(other.trips).toBe(1);
  });

  it('tell how long it is blocked from when they are answered, however long that took', async () => {
    const [one, other] = await Promise.all([newPod(), newPod()]);
    await spend(one);
    proxy.holdReplies();
    const asked = other.reserve(provider);
    const releaseAtMs = performance.now() + 40;
    await waitUntil(() => performance.now() > releaseAtMs, { what: 'the reply is late' });
    proxy.releaseReplies();
    const reservation = await asked;
    expect(reservation).toMatchObject({ granted: false, reason: 'blocked' });
    expect(Math.abs((reservation as { waitMs: number }).waitMs - other.blockedForMs(provider))).toBeLessThan(20);
  });

  it('carry settlements along: one trip per message, not two', async () => {
    const quota = await newPod();
    for (let i = 0; i < LIMIT - 1; i += 1) quota.settle((await take(quota)) as Permit, { outcome: 'accepted' });
    expect(quota.trips).toBe(LIMIT - 1);
  });
});

describe('a settlement', () => {
  it('counts once, however often it is told', async () => {
    const quota = await newPod();
    const permit = (await take(quota)) as Permit;
    quota.settle(permit, { outcome: 'notSent' });
    quota.settle(permit, { outcome: 'notSent' });
    await take(quota);
    expect(await usedOf(quota)).toBe(1);
  });

  it('of a refusal closes the quota for every pod at once, for as long as the provider says', async () => {
    const [one, other] = await Promise.all([newPod(), newPod()]);
    one.settle((await take(one)) as Permit, { outcome: 'refused', announced: { retryAfterMs: 30_000 } });
    await waitUntil(async () => (await other.state(provider))?.state === 'blocked', { what: 'the other pod sees it' });
    expect((await other.state(provider))?.waitMs).toBeGreaterThan(29_000);
    expect(events).toContainEqual(expect.objectContaining({ event: 'refused', provider, retryAfterMs: 30_000 }));
  });
});

describe('a Redis that is slow or gone', () => {
  it('keeps nobody waiting longer than the budget, and grants nothing meanwhile', async () => {
    const quota = await newPod({ budgetMs: 50 });
    proxy.holdReplies();
    const startedMs = performance.now();
    expect(await quota.reserve(provider)).toEqual({ granted: false, reason: 'unavailable' });
    expect(performance.now() - startedMs).toBeLessThan(250);
    const againMs = performance.now();
    expect(await quota.reserve(provider)).toEqual({ granted: false, reason: 'unavailable' });
    expect(performance.now() - againMs).toBeLessThan(20);
  });

  it('serves the next caller with a permit that came too late for the first', async () => {
    const quota = await newPod({ budgetMs: 20 });
    proxy.holdReplies();
    await quota.reserve(provider);
    proxy.releaseReplies();
    await waitUntil(async () => (await take(quota)) !== undefined, { what: 'a permit' });
    expect(quota.trips).toBe(1);
  });

  it('gets a late permit back when nobody takes it', async () => {
    const quota = await newPod({ budgetMs: 20 });
    proxy.holdReplies();
    await quota.reserve(provider);
    proxy.releaseReplies();
    await waitUntil(async () => (await usedOf(quota)) === 0, { what: 'the slot is free again' });
  });

  it('never hands out a permit that has run out on the way', async () => {
    const quota = await newPod({ budgetMs: 10_000, permitMs: 30 });
    proxy.holdReplies();
    const asked = quota.reserve(provider);
    const releaseAtMs = performance.now() + 40;
    await waitUntil(() => performance.now() > releaseAtMs, { what: 'the permit has run out' });
    proxy.releaseReplies();
    expect(await asked).toEqual({ granted: false, reason: 'unavailable' });
    await waitUntil(async () => (await usedOf(quota)) === 0, { what: 'the slot is free again' });
  });

  it('counts a step once whose reply was lost, and gives back what it granted', async () => {
    const quota = await newPod();
    proxy.holdReplies();
    const asked = Promise.all(Array.from({ length: 4 }, () => quota.reserve(provider)));
    const direct = new Redis(redisUrl.href);
    await waitUntil(async () => (await direct.hget(`{quota:${provider}}`, 'granted')) === '4', {
      what: 'Redis has applied the step',
    });
    await direct.quit();
    proxy.cut();
    expect((await asked).every(({ granted }) => !granted)).toBe(true);
    await waitUntil(async () => (await usedOf(quota)) === 0, { what: 'all four are given back' });
    expect(await spend(quota)).toBe(LIMIT);
  });

  it('is told of once when it is lost and once when it is back', async () => {
    const quota = await newPod();
    await take(quota);
    proxy.holdReplies();
    const asked = quota.reserve(provider);
    proxy.cut();
    await asked;
    await waitUntil(async () => (await take(quota)) !== undefined, { what: 'permits again' });
    const told = events.map(({ event }) => event).filter((event) => event.startsWith('store'));
    expect(told).toEqual(['store lost', 'store back']);
  });
});

describe('closing', () => {
  it('delivers the last settlements and gives back what is held', async () => {
    const [leaving, staying] = await Promise.all([newPod({ budgetMs: 20 }), newPod()]);
    const permit = (await take(leaving)) as Permit;
    leaving.settle(permit, { outcome: 'notSent' });
    await leaving.close();
    expect(await usedOf(staying)).toBe(0);
    expect(await leaving.reserve(provider)).toEqual({ granted: false, reason: 'unavailable' });
  });
});
