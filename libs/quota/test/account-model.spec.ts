import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, describe, expect, it } from '@jest/globals';
import { waitUntil } from '../../../tools/stack/wait-until.js';
import { openQuotaRedis, type Permit, Quota, type QuotaInput } from '../src/index.js';
import { AccountQuotas } from '../src/pod/account-quotas.js';
import { ProviderQuota } from '../src/pod/provider-quota.js';

/** All limits are tight: callers ask for several times as much. */
const AT_ONCE = 3;
const LIMITS = [
  { limit: 6, windowMs: 100 },
  { limit: 24, windowMs: 1_000 },
] as const;
const DAY = 10_000;
const QUOTAS: QuotaInput[] = [
  ...LIMITS.map(({ limit, windowMs }) => ({
    name: `in-${windowMs}`,
    policy: { policy: 'sliding-window' as const, limit, windowMs },
  })),
  { name: 'at-once', policy: { policy: 'concurrency', limit: AT_ONCE } },
  { name: 'day', policy: { policy: 'fixed-window', limit: DAY, windowMs: 86_400_000, anchor: 'clock' } },
];
const PODS = 3;
const CALLERS = 4;
const RUN_MS = 2_500;

const repairs: (() => void)[] = [];
const open: { quota: Quota; redis: ReturnType<typeof openQuotaRedis> }[] = [];
afterEach(async () => {
  for (const repair of repairs.splice(0)) repair();
  for (const { quota, redis } of open.splice(0)) {
    await quota.close();
    redis.disconnect();
  }
});

/** The judge: counts on its own, when requests arrive. */
class Provider {
  refusals = 0;
  private readonly acceptedMs: number[] = [];
  private inFlight = 0;

  get accepted(): number {
    return this.acceptedMs.length;
  }

  async receive(tookMs: number): Promise<void> {
    const nowMs = performance.now();
    const isFull = LIMITS.some(
      ({ limit, windowMs }) => this.acceptedMs.filter((atMs) => nowMs - atMs < windowMs).length >= limit,
    );
    if (isFull || this.inFlight >= AT_ONCE) {
      this.refusals += 1;
      return;
    }
    this.acceptedMs.push(nowMs);
    this.inFlight += 1;
    await delay(tookMs);
    this.inFlight -= 1;
  }
}

async function newPod(account: string): Promise<Quota> {
  const redis = openQuotaRedis(process.env['TEST_REDIS_URL'] ?? '');
  // A pod that is closed may miss the reply to its last step.
  redis.on('error', () => {});
  const providers = [{ name: account, timeoutMs: 1_000, quotas: QUOTAS }];
  const quota = new Quota({ redis, providers, whenForgotten: 'fresh', budgetMs: 5_000 });
  open.push({ quota, redis });
  if (redis.status !== 'ready') await once(redis, 'ready');
  return quota;
}

/** Callers on several pods that ask again as soon as they may. */
async function outcome(): Promise<{ refusals: number; accepted: number; kept: number }> {
  const account = `account-${randomBytes(6).toString('hex')}`;
  const pods = await Promise.all(Array.from({ length: PODS }, () => newPod(account)));
  const provider = new Provider();
  const endMs = performance.now() + RUN_MS;
  let seed = 11;
  const next = (below: number): number => (seed = (seed * 48_271) % 2_147_483_647) % below;
  const use = async (pod: Quota, permit: Permit): Promise<void> => {
    await provider.receive(5 + next(20));
    pod.settle(permit, { outcome: 'accepted' });
  };
  const call = async (pod: Quota): Promise<void> => {
    while (performance.now() < endMs) {
      const reservation = await pod.reserve(account);
      if (reservation.granted) await use(pod, reservation.permit);
      else await delay('waitMs' in reservation ? Math.min(50, reservation.waitMs) : 5);
    }
  };
  await Promise.all(pods.flatMap((pod) => Array.from({ length: CALLERS }, () => call(pod))));
  const usedOfDay = async (): Promise<number> =>
    ((await pods[0]?.states(account)) ?? []).find(({ name }) => name === 'day')?.used ?? -1;
  // What was given back reaches Redis within moments.
  await waitUntil(async () => (await usedOfDay()) === provider.accepted, {
    what: 'the quota of the day has counted what was accepted',
    deadlineMs: 2_000,
  }).catch(() => {});
  return { refusals: provider.refusals, accepted: provider.accepted, kept: (await usedOfDay()) - provider.accepted };
}

describe('invariants 12 and 15, several quotas and concurrency', () => {
  it('exceed none of them, keep no slot that another denied, and use the tightest up', async () => {
    const { refusals, accepted, kept } = await outcome();
    expect({ refusals, kept }).toEqual({ refusals: 0, kept: 0 });
    expect(accepted).toBeGreaterThanOrEqual(2 * 24);
  });

  it('fail for a pod that keeps what it took when another quota denies', async () => {
    replace(AccountQuotas, 'giveBack', () => {});
    const { accepted, kept } = await outcome();
    expect(kept > 0 || accepted < 2 * 24).toBe(true);
  });

  it('fail for a pod that takes a denial for a permit', async () => {
    const permit = { provider: '', epoch: 0, generation: 0, sendByMs: Infinity, grantedAtMs: 0, amount: 1 };
    replace(ProviderQuota, 'reserve', () => Promise.resolve({ granted: true, permit }));
    const { refusals } = await outcome();
    expect(refusals).toBeGreaterThan(0);
  });
});

/** Until the end of the test. */
function replace({ prototype }: { prototype: object }, name: string, faulty: unknown): void {
  const intact = Object.getOwnPropertyDescriptor(prototype, name) ?? {};
  Object.defineProperty(prototype, name, { ...intact, value: faulty });
  repairs.push(() => Object.defineProperty(prototype, name, intact));
}
