import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { waitUntil } from '../../../tools/stack/wait-until.js';
import { openQuotaRedis, type Permit, Quota } from '../src/index.js';

/** The shortest unit of a calendar: real time cannot be compressed. Longer ones differ in the starts of their windows only. */
const SECOND_MS = 1_000;
const LIMIT = 4;
const SKEW_MS = 10;
/** A calendar knows its boundaries: the guard is the skew of the clocks. */
const LATE_MAX_MS = SKEW_MS + 50;

const repairs: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const repair of repairs.splice(0)) await repair();
});

async function newPod(account: string): Promise<Quota> {
  const redis = openQuotaRedis(process.env['TEST_REDIS_URL'] ?? '');
  const every = { every: 'second', timeZone: 'America/Los_Angeles', clockSkewMs: SKEW_MS } as const;
  const policy = { policy: 'fixed-window', limit: LIMIT, ...every } as const;
  const providers = [{ name: account, policy, timeoutMs: 300 }];
  const quota = new Quota({ redis, providers, whenForgotten: 'fresh', budgetMs: 5_000 });
  repairs.push(async () => {
    await quota.close();
    redis.disconnect();
  });
  if (redis.status !== 'ready') await once(redis, 'ready');
  return quota;
}

/** Pods of one account. */
async function newPods() {
  const account = `account-${randomBytes(6).toString('hex')}`;
  const pods = await Promise.all([newPod(account), newPod(account)]);
  /** A caller on each pod for each slot; settles what was granted. */
  const askAll = async (): Promise<{ permits: Permit[]; waitsMs: number[] }> => {
    const callers = pods.flatMap((pod) => Array.from({ length: LIMIT }, () => pod));
    const reservations = await Promise.all(callers.map((pod) => pod.reserve(account)));
    for (const [index, one] of reservations.entries()) {
      if (one.granted) callers[index]?.settle(one.permit, { outcome: 'accepted' });
    }
    return {
      permits: reservations.flatMap((one) => (one.granted ? [one.permit] : [])),
      waitsMs: reservations.flatMap((one) => (!one.granted && 'waitMs' in one ? [one.waitMs] : [])),
    };
  };
  const isKnownClosed = (): boolean => pods.every((pod) => pod.blockedForMs(account) > 0);
  return { askAll, isKnownClosed, trips: (): number => pods.reduce((sum, pod) => sum + pod.trips, 0) };
}

/** How long after the start of its window a permit was granted, by the clock of Redis. */
const latenessMs = ({ grantedAtMs }: Permit): number => grantedAtMs % SECOND_MS;

describe('a calendar window that begins while no pod has traffic', () => {
  it('is entered within 50 ms + guard of its start by callers that wait as long as they were told, and used up', async () => {
    const { askAll, isKnownClosed, trips } = await newPods();
    /** Uses a window up, lets the callers wait, and enters the next window. */
    const isNextEnteredInTime = async (): Promise<boolean> => {
      await waitUntil(async () => (await askAll()).permits.length === 0 && isKnownClosed(), { what: 'it is used up' });
      const { waitsMs } = await askAll();
      const before = trips();
      await delay(Math.max(...waitsMs));
      const asleep = trips() - before;
      const { permits } = await askAll();
      return asleep === 0 && permits.length === LIMIT && permits.every((permit) => latenessMs(permit) <= LATE_MAX_MS);
    };
    // A busy machine wakes a caller late, and rarely every time.
    await waitUntil(isNextEnteredInTime, { what: 'a window is entered in time', deadlineMs: 20_000 });
  });

  it('is entered at the first call after several windows without a call', async () => {
    const { askAll } = await newPods();
    const [first] = (await askAll()).permits;
    const redis = new Redis(process.env['TEST_REDIS_URL'] ?? '');
    repairs.push(() => redis.quit());
    const startMs = Math.floor((first?.grantedAtMs ?? 0) / SECOND_MS) * SECOND_MS;
    const nowMs = async (): Promise<number> => {
      const [seconds, micros] = await redis.time();
      return Number(seconds) * 1_000 + Number(micros) / 1_000;
    };
    await waitUntil(async () => (await nowMs()) > startMs + 4 * SECOND_MS + 2 * SKEW_MS, {
      what: 'windows have passed',
    });
    expect((await askAll()).permits).toHaveLength(LIMIT);
  });
});
