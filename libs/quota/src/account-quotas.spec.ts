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

const window = (name: string, limit: number, windowMs = 60_000): QuotaInput => ({
  name,
  policy: { policy: 'sliding-window', limit, windowMs },
});

/** Pods of one account with these quotas. */
async function newPods(quotas: QuotaInput[], count = 1): Promise<{ account: string; pods: Quota[] }> {
  const account = `account-${randomBytes(6).toString('hex')}`;
  return { account, pods: await Promise.all(Array.from({ length: count }, () => newPod(account, quotas))) };
}

async function newPod(account: string, quotas: QuotaInput[]): Promise<Quota> {
  const redis = openQuotaRedis(process.env['TEST_REDIS_URL'] ?? '');
  const providers = [{ name: account, timeoutMs: 1_000, quotas }];
  const quota = new Quota({ redis, providers, whenForgotten: 'fresh', budgetMs: 5_000 });
  open.push({ quota, redis });
  await waitUntil(() => redis.status === 'ready', { what: 'redis is connected' });
  return quota;
}

const reserve = (quota: Quota, account: string, count: number): Promise<Reservation[]> =>
  Promise.all(Array.from({ length: count }, () => quota.reserve(account)));

const permitsOf = (reservations: readonly Reservation[]): Permit[] =>
  reservations.flatMap((reservation) => (reservation.granted ? [reservation.permit] : []));

async function usedOf(quota: Quota, account: string): Promise<Record<string, number>> {
  const states = (await quota.states(account)) ?? [];
  return Object.fromEntries(states.map(({ name, used }) => [name, used]));
}

describe('an account with several quotas', () => {
  it('grants what all of them allow, over several pods, and keeps no slot of one that another denied', async () => {
    const { account, pods } = await newPods(
      [window('minute', 5), window('day', 12, 3_600_000), window('month', 100)],
      3,
    );
    const granted = await Promise.all(pods.map((pod) => reserve(pod, account, 10)));
    const permits = granted.flatMap(permitsOf);
    expect(permits).toHaveLength(5);
    for (const [index, pod] of pods.entries()) {
      for (const permit of permitsOf(granted[index] ?? [])) pod.settle(permit, { outcome: 'accepted' });
    }
    await Promise.all(pods.map((pod) => pod.close()));
    const reader = await newPod(account, [window('minute', 5), window('day', 12, 3_600_000), window('month', 100)]);
    expect(await usedOf(reader, account)).toEqual({ minute: 5, day: 5, month: 5 });
  });

  it('makes no trip while one of them is known to be closed, and names the longest wait', async () => {
    const { account, pods } = await newPods([window('minute', 2), window('day', 2, 3_600_000)]);
    const [pod] = pods as [Quota];
    for (const permit of permitsOf(await reserve(pod, account, 2))) pod.settle(permit, { outcome: 'accepted' });
    const areClosed = async () => (await pod.states(account))?.every(({ state }) => state !== 'open') === true;
    await waitUntil(areClosed, { what: 'both quotas are closed' });
    const [denied] = await reserve(pod, account, 1);
    expect(denied).toMatchObject({ granted: false });
    const trips = pod.trips;
    const [again] = await reserve(pod, account, 1);
    expect(again).toMatchObject({ granted: false, reason: 'blocked' });
    expect(again?.granted === false && 'waitMs' in again && again.waitMs).toBeGreaterThan(60_000);
    expect(pod.trips).toBe(trips);
  });

  it('gives every slot back when a request was not sent', async () => {
    const { account, pods } = await newPods([
      window('minute', 2),
      { name: 'at-once', policy: { policy: 'concurrency', limit: 1 } },
    ]);
    const [pod] = pods as [Quota];
    const [permit] = permitsOf(await reserve(pod, account, 1)) as [Permit];
    expect(permitsOf(await reserve(pod, account, 1))).toEqual([]);
    pod.settle(permit, { outcome: 'notSent' });
    expect(permitsOf(await reserve(pod, account, 1))).toHaveLength(1);
  });

  it('counts a refusal against the quota whose period fits the wait, and gives the slots of the others back', async () => {
    const quotas = [window('day', 1_000, 86_400_000), window('second', 50, 1_000)];
    const { account, pods } = await newPods(quotas);
    const [pod] = pods as [Quota];
    const [permit] = permitsOf(await reserve(pod, account, 1)) as [Permit];
    pod.settle(permit, { outcome: 'refused', announced: { retryAfterMs: 1_000 } });
    expect(permitsOf(await reserve(pod, account, 1))).toEqual([]);
    await waitUntil(async () => (await usedOf(pod, account))['day'] === 0, { what: 'the slot of the day is free' });
    expect(pod.blockedForMs(account)).toBeLessThanOrEqual(3_000);
  });

  it('reports an announcement to the quota that it is about', async () => {
    const { account, pods } = await newPods([window('minute', 10), window('day', 100, 86_400_000)]);
    const [pod] = pods as [Quota];
    const [permit] = permitsOf(await reserve(pod, account, 1)) as [Permit];
    pod.settle(permit, { outcome: 'accepted', announced: { others: [{ remaining: 60 }] } });
    const [next] = await reserve(pod, account, 1);
    expect(next?.granted).toBe(true);
    expect(await usedOf(pod, account)).toEqual({ minute: 2, day: 41 });
  });
});
