import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { Redis } from 'ioredis';
import { TcpProxy } from '../../../verification/engines/tcp-proxy.js';
import { waitUntil } from '../../../tools/stack/wait-until.js';
import type { Permit, QuotaEvent } from './permit.js';
import { Quota, type QuotaOptions } from './quota.js';
import { QUOTA_REDIS_OPTIONS } from './store/quota-redis.js';

const LIMIT = 10;
const redisUrl = new URL(process.env['TEST_REDIS_URL'] ?? '');

let provider: string;
let proxy: TcpProxy;
let events: QuotaEvent[];
const quotas: Quota[] = [];
const connections: Redis[] = [];

beforeEach(async () => {
  provider = `quota-${randomBytes(6).toString('hex')}`;
  proxy = await TcpProxy.to({ host: redisUrl.hostname, port: Number(redisUrl.port) });
  events = [];
});
afterEach(async () => {
  // Steps in flight must end before the connection does: ioredis keeps a timer for a socket that closed first.
  proxy.releaseReplies();
  await Promise.all(quotas.splice(0).map((quota) => quota.close()));
  for (const redis of connections.splice(0)) {
    redis.disconnect();
    await once(redis, 'end');
  }
  await proxy.close();
});

/** A pod that is connected through the proxy. */
async function newPod({ blockMs = 60_000, ...options }: Partial<QuotaOptions> & { blockMs?: number } = {}) {
  const redis = new Redis(proxy.port, '127.0.0.1', QUOTA_REDIS_OPTIONS);
  connections.push(redis);
  redis.on('error', () => {});
  await waitUntil(() => redis.status === 'ready', { what: 'redis is connected' });
  const policy = { policy: 'count-then-block', limit: LIMIT, blockMs, startsAt: 'last-accept' } as const;
  const quota = new Quota({
    redis,
    providers: [{ name: provider, policy, timeoutMs: 200 }],
    whenForgotten: 'fresh',
    // Long: a busy machine must not look like a slow Redis.
    budgetMs: 10_000,
    onEvent: (event) => events.push(event),
    ...options,
  });
  quotas.push(quota);
  return quota;
}

async function take(quota: Quota): Promise<Permit | undefined> {
  const reservation = await quota.reserve(provider);
  return reservation.granted ? reservation.permit : undefined;
}

/**
 * Takes permits and settles them as accepted until the quota grants no more. On a busy machine a permit may expire before
 * its pod sees it (`unavailable`): the pod returns it, and the next call takes its slot.
 */
async function spend(quota: Quota): Promise<number> {
  for (let spent = 0; ;) {
    const reservation = await quota.reserve(provider);
    if (!reservation.granted && reservation.reason !== 'unavailable') return spent;
    if (!reservation.granted) continue;
    quota.settle(reservation.permit, { outcome: 'accepted' });
    spent += 1;
  }
}

describe('pods that share a Redis', () => {
  it('are granted exactly the limit together', async () => {
    const pods = await Promise.all([newPod(), newPod(), newPod(), newPod()]);
    const permits = await Promise.all(pods.flatMap((pod) => Array.from({ length: 25 }, () => take(pod))));
    expect(permits.filter((permit) => permit !== undefined)).toHaveLength(LIMIT);
  });

  it('use a large quota completely although they prefetch permits', async () => {
    const limit = 40_000;
    const policy = { policy: 'count-then-block', limit, blockMs: 60_000 } as const;
    const providers = [{ name: provider, policy, timeoutMs: 5_000 }];
    const pods = await Promise.all([newPod({ providers }), newPod({ providers }), newPod({ providers })]);
    const spent = await Promise.all(pods.map(spend));
    expect(spent.reduce((sum, each) => sum + each, 0)).toBe(limit);
    expect(pods.reduce((trips, pod) => trips + pod.trips, 0)).toBeLessThan(limit);
  });

  it('are granted the whole limit again in the next window', async () => {
    const [one, other] = await Promise.all([newPod({ blockMs: 150 }), newPod({ blockMs: 150 })]);
    expect(await spend(one)).toBe(LIMIT);
    await waitUntil(async () => (await one.state(provider))?.state === 'open', { what: 'the quota reopens' });
    expect((await spend(one)) + (await spend(other))).toBe(LIMIT);
  });

  it('can use a slot that another pod returned', async () => {
    const [one, other] = await Promise.all([newPod(), newPod()]);
    const permits = await Promise.all(Array.from({ length: LIMIT }, () => take(one)));
    expect(await take(other)).toBeUndefined();
    one.settle(permits[0] as Permit, { outcome: 'notSent' });
    await waitUntil(async () => (await take(other)) !== undefined, { what: 'the other pod gets the slot' });
  });

  it('are all blocked by a refusal, for as long as the provider announced', async () => {
    const [one, other] = await Promise.all([newPod(), newPod()]);
    one.settle((await take(one)) as Permit, { outcome: 'refused', announced: { retryAfterMs: 30_000 } });
    await waitUntil(async () => (await other.state(provider))?.state === 'blocked', {
      what: 'the other pod is blocked',
    });
    expect((await other.state(provider))?.waitMs).toBeGreaterThan(29_000);
    expect(events).toContainEqual(expect.objectContaining({ event: 'refused', provider, retryAfterMs: 30_000 }));
  });
});

it('an accepted answer that names another limit with nothing left holds all pods back within a trip', async () => {
  const policy = { policy: 'count-then-block', limit: LIMIT, blockMs: 60_000 } as const;
  // Answers of no consequence wait up to 7.5 s for a step.
  const providers = [{ name: provider, policy, timeoutMs: 20_000 }];
  const [one, other] = await Promise.all([newPod({ providers }), newPod({ providers })]);
  one.settle((await take(one)) as Permit, { outcome: 'accepted', announced: { holdMs: 30_000 } });
  await waitUntil(async () => (await other.state(provider))?.state === 'blocked', {
    what: 'the other pod is held back',
    deadlineMs: 3_000,
  });
  expect((await other.state(provider))?.used).toBe(1);
});

describe('a reservation', () => {
  it('shares one trip with all concurrent ones', async () => {
    const quota = await newPod();
    await Promise.all(Array.from({ length: 64 }, () => quota.reserve(provider)));
    expect(quota.trips).toBe(1);
  });

  it('makes no trip when the reply in flight says blocked', async () => {
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

  it('is answered within the budget when Redis is slow, and at once while its step is overdue', async () => {
    const quota = await newPod({ budgetMs: 50 });
    proxy.holdReplies();
    const startedMs = performance.now();
    expect(await quota.reserve(provider)).toEqual({ granted: false, reason: 'unavailable' });
    expect(performance.now() - startedMs).toBeLessThan(250);
    const againMs = performance.now();
    expect(await quota.reserve(provider)).toEqual({ granted: false, reason: 'unavailable' });
    expect(performance.now() - againMs).toBeLessThan(20);
  });

  it('is refused after close(), which delivers the last settlements', async () => {
    const [leaving, staying] = await Promise.all([newPod(), newPod()]);
    leaving.settle((await take(leaving)) as Permit, { outcome: 'notSent' });
    await leaving.close();
    expect((await staying.state(provider))?.used).toBe(0);
    expect(await leaving.reserve(provider)).toEqual({ granted: false, reason: 'unavailable' });
  });

  it('throws for an unknown provider', async () => {
    const quota = await newPod();
    expect(() => quota.reserve('other')).toThrow('no quota for provider "other"');
  });
});

describe('new Quota()', () => {
  it('throws for an unlimited provider, which needs no permits', async () => {
    const providers = [{ name: provider, policy: { policy: 'unlimited' } as const, timeoutMs: 200 }];
    await expect(newPod({ providers })).rejects.toThrow('unlimited');
  });
});
