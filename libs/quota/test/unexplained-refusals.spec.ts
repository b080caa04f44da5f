import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import type { Announcement } from '../src/announcements/announcement.js';
import type { LimitedPolicy } from '../src/policy.js';
import { STEP_SCRIPTS, type StepScripts } from '../src/store/quota-store.js';
import { accepted, newProvider, refused, type Settled } from './step-harness.js';

const HOUR_MS = 3_600_000;
const block = (limit: number, blockMs: number): LimitedPolicy => ({
  policy: 'count-then-block',
  limit,
  blockMs,
  startsAt: 'last-accept',
});
const OF_AN_HOUR = block(100, HOUR_MS);

let redis: Redis;
beforeAll(() => {
  redis = new Redis(process.env['TEST_REDIS_URL'] ?? '');
});
afterAll(() => redis.quit());

const empty = (epoch: number, announced: Announcement): Settled => accepted(epoch, 1, announced);

describe('after a refusal that its count does not explain, a quota', () => {
  it('grants nothing for 1 s, then one request at a time, and all again once one is accepted', async () => {
    const { step, clock } = await newProvider(redis, OF_AN_HOUR);
    const { epoch } = await step({ want: 3 });
    const held = await step({ want: 5, settled: [accepted(epoch, 2), refused(epoch)] });
    expect(held).toMatchObject({ granted: 0, state: 'blocked', waitMs: 1_000, used: 2, isHeld: true });
    expect(await step({ pod: 'b', want: 5 })).toMatchObject({ granted: 0, state: 'blocked', isHeld: true });
    clock.ms += 1_000;
    expect(await step({ pod: 'b', want: 5 })).toMatchObject({ granted: 1, epoch });
    expect(await step({ want: 5 })).toMatchObject({ granted: 0, state: 'spent' });
    expect(await step({ pod: 'b', want: 90, settled: [accepted(epoch)] })).toMatchObject({ granted: 90, used: 93 });
  });

  it('takes refusals of requests that were under way for one', async () => {
    const { step, clock } = await newProvider(redis, OF_AN_HOUR);
    const { epoch } = await step({ want: 10 });
    await step({ settled: [refused(epoch), refused(epoch)] });
    clock.ms += 300;
    const { waitMs } = await step({ want: 1, settled: [refused(epoch)] });
    expect(waitMs).toBe(700);
  });

  it('is not opened by the answer to a request that was under way', async () => {
    const { step } = await newProvider(redis, OF_AN_HOUR);
    const { epoch } = await step({ want: 10 });
    await step({ settled: [refused(epoch)] });
    expect(await step({ want: 1, settled: [accepted(epoch)] })).toMatchObject({ granted: 0, isHeld: true });
  });

  it('waits as long as the provider says, where its period does not fit the wait', async () => {
    const { step, clock } = await newProvider(redis, OF_AN_HOUR);
    const { epoch } = await step({ want: 6 });
    const held = await step({ want: 1, settled: [accepted(epoch, 5), refused(epoch, 3_000)] });
    expect(held).toMatchObject({ granted: 0, used: 5, epoch, isHeld: true });
    expect(held.waitMs).toBeGreaterThanOrEqual(3_000);
    clock.ms += held.waitMs;
    expect(await step({ want: 1 })).toMatchObject({ granted: 1, epoch });
  });

  it('takes a wait that fits its period for its block', async () => {
    const { step, clock } = await newProvider(redis, OF_AN_HOUR);
    const { epoch } = await step({ want: 6 });
    const { waitMs } = await step({ settled: [accepted(epoch, 5), refused(epoch, HOUR_MS / 2)] });
    clock.ms += waitMs;
    expect(await step({ want: 100 })).toMatchObject({ epoch: epoch + 1 });
  });

  it('waits longer each time that the provider refuses the probe and names the same wait, until one is accepted', async () => {
    const { step, clock } = await newProvider(redis, OF_AN_HOUR);
    const { epoch } = await step({ want: 1 });
    const waits: number[] = [];
    for (let settled = [refused(epoch, 0)]; waits.length < 5; settled = [refused(epoch, 0)]) {
      const { waitMs } = await step({ settled });
      waits.push(waitMs);
      clock.ms += waitMs;
      expect((await step({ want: 1 })).granted).toBe(1);
    }
    expect(waits).toEqual([500, 2_000, 4_000, 8_000, 16_000]);
    await step({ settled: [accepted(epoch)] });
    await step({ want: 1 });
    expect((await step({ settled: [refused(epoch, 0)] })).waitMs).toBe(500);
  });

  it('begins the next window with one request, when the provider accepted none in this one', async () => {
    const { step, clock } = await newProvider(redis, block(10, 2_000));
    const { epoch } = await step({ want: 10 });
    const { waitMs } = await step({ settled: Array.from({ length: 10 }, () => refused(epoch)) });
    clock.ms += waitMs;
    expect(await step({ want: 10 })).toMatchObject({ granted: 1, epoch: epoch + 1 });
    expect(await step({ want: 9, settled: [accepted(epoch + 1)] })).toMatchObject({ granted: 9 });
  });
});

describe('a window that is nearly used up', () => {
  const NOON_MS = Date.parse('2026-11-20T12:00:00Z');
  const ofADay: LimitedPolicy = {
    policy: 'fixed-window',
    limit: 100,
    windowMs: 24 * HOUR_MS,
    anchor: 'clock',
    clockSkewMs: 50,
  };
  const fromFirstAccept: LimitedPolicy = {
    policy: 'fixed-window',
    limit: 100,
    windowMs: HOUR_MS,
    anchor: 'first-accept',
    clockSkewMs: 0,
  };

  const ofAMinute: LimitedPolicy = {
    policy: 'fixed-window',
    limit: 10,
    windowMs: 60_000,
    anchor: 'clock',
    clockSkewMs: 50,
  };

  async function after95(policy: LimitedPolicy) {
    const provider = await newProvider(redis, policy, NOON_MS);
    const { epoch } = await provider.step({ want: 96 });
    provider.clock.ms += 20;
    await provider.step({ settled: [accepted(epoch, 95)] });
    return { ...provider, epoch };
  }

  it.each([
    ['that ends by the clock', ofADay],
    ['that began with its first request', fromFirstAccept],
  ])('goes on after a refusal with a short wait: one %s', async (_which, policy) => {
    const { step, clock, epoch } = await after95(policy);
    const held = await step({ want: 5, settled: [refused(epoch, 2_000)] });
    expect(held).toMatchObject({ granted: 0, epoch, isHeld: true, used: 95 });
    expect(held.waitMs).toBeLessThanOrEqual(2_010);
    clock.ms += held.waitMs;
    expect(await step({ want: 9 })).toMatchObject({ granted: 1, epoch });
    expect(await step({ want: 9, settled: [accepted(epoch)] })).toMatchObject({ granted: 4, epoch });
  });

  it('is not given back by a wait that is about as long as it, but ends before it', async () => {
    const { step, clock } = await newProvider(redis, ofAMinute, 60_000_000);
    const { epoch } = await step({ want: 6 });
    const { waitMs } = await step({ settled: [accepted(epoch, 5), refused(epoch, 20_000)] });
    clock.ms += waitMs;
    expect(await step({ want: 9 })).toMatchObject({ granted: 1, epoch });
    expect(await step({ want: 9, settled: [accepted(epoch)] })).toMatchObject({ granted: 4, epoch });
  });

  it('is held back until its end by the clock at most', async () => {
    const { step, clock } = await newProvider(redis, ofAMinute, 60_000_000 + 50_000);
    const { epoch } = await step({ want: 2 });
    await step({ settled: [accepted(epoch), refused(epoch)] });
    for (let settled: Settled[] = []; clock.ms < 60_000_000 + 59_000;) {
      const { granted, waitMs } = await step({ want: 1, settled });
      settled = granted > 0 ? [refused(epoch)] : [];
      clock.ms += Math.max(10, granted > 0 ? 10 : waitMs);
    }
    clock.ms = 60_000_000 + 60_050;
    expect((await step({ want: 1 })).granted).toBe(1);
  });

  it('stays closed until its end by the clock once it is used up, whatever wait a refusal names', async () => {
    const { step, clock, epoch } = await after95(ofADay);
    await step({ settled: [accepted(epoch)] });
    await step({ want: 4 });
    await step({ settled: [accepted(epoch, 3), refused(epoch, 2_000)] });
    clock.ms += 5_000;
    await step({ want: 1 });
    clock.ms += 10;
    const used = await step({ want: 9, settled: [accepted(epoch)] });
    expect(used).toMatchObject({ granted: 0, epoch });
    clock.ms += HOUR_MS;
    expect(await step({ want: 9 })).toMatchObject({ granted: 0, epoch, state: 'blocked' });
    clock.ms = NOON_MS + 12 * HOUR_MS + 50;
    expect(await step({ want: 9 })).toMatchObject({ granted: 9, epoch: epoch + 1 });
  });
});

it('a limit of another window with nothing left holds the account back and changes no count', async () => {
  const { step, clock } = await newProvider(redis, OF_AN_HOUR);
  const { epoch } = await step({ want: 2 });
  const held = await step({ want: 1, settled: [empty(epoch, { holdMs: 1_000 })] });
  expect(held).toMatchObject({ granted: 0, state: 'blocked', used: 2 });
  clock.ms += held.waitMs;
  expect(await step({ want: 98 })).toMatchObject({ granted: 98, epoch });
});

interface World {
  policy: LimitedPolicy;
  /** The provider refuses everything without a wait for this long, from the first request on. */
  refusesForMs: number;
  scripts?: StepScripts;
}

/** One request every 100 ms, until the provider has accepted what its quota allows. */
async function outcomeOf({ policy, refusesForMs, scripts }: World) {
  const { step, clock } = await newProvider(redis, policy, 1_000_000, scripts);
  const startedMs = clock.ms;
  let settled: Settled[] = [];
  const counts = { refusals: 0, accepted: 0 };
  let acceptedAfterMs = 0;
  for (let tries = 0; tries < 3_000 && counts.accepted < 20; tries += 1) {
    const { granted, epoch } = await step({ want: 1, settled });
    const isRefusing = clock.ms - startedMs < refusesForMs;
    if (granted > 0 && isRefusing) counts.refusals += 1;
    if (granted > 0 && !isRefusing) counts.accepted += 1;
    if (counts.accepted === 1 && granted > 0) acceptedAfterMs = clock.ms - startedMs - refusesForMs;
    settled = granted === 0 ? [] : [isRefusing ? refused(epoch) : accepted(epoch)];
    clock.ms += 100;
  }
  return { ...counts, acceptedAfterMs };
}

describe('invariant 17, unexplained refusals', () => {
  const day: LimitedPolicy = {
    policy: 'fixed-window',
    limit: 1_000,
    windowMs: 86_400_000,
    anchor: 'clock',
    clockSkewMs: 50,
  };
  const WORLDS: World[] = [1_000, 7_000, 30_000, 120_000].flatMap((refusesForMs) =>
    [OF_AN_HOUR, day].map((policy) => ({ policy, refusesForMs })),
  );
  const mostRefusals = ({ refusesForMs }: World): number => Math.ceil(Math.log2(refusesForMs / 1_000 + 1)) + 1;

  it.each(WORLDS)(
    'cost one refusal for each doubling of the hold, and no slot: $policy.policy, $refusesForMs ms',
    async (world) => {
      const { refusals, accepted: free, acceptedAfterMs } = await outcomeOf(world);
      expect(refusals).toBeLessThanOrEqual(mostRefusals(world));
      expect(free).toBe(20);
      expect(acceptedAfterMs).toBeLessThanOrEqual(2 * world.refusesForMs + 1_000);
    },
  );

  it.each([
    ['does not hold back', 'holdBack = function() q.opensMs = 0 end'],
    [
      'holds for the same time again and again',
      'local intact = holdBack; holdBack = function(s) q.holds = 0; intact(s) end',
    ],
    ['takes the refusal for the block', 'isExplained = function() return true end'],
    [
      'counts the refused request as used',
      'local intact = holdBack; holdBack = function(s) intact(s); q.granted = q.granted + 9 end',
    ],
    ['never probes', 'local intact = grantable; grantable = function() return q.isProbing == 1 and 0 or intact() end'],
  ])('fail for a script that %s', async (_what, fault) => {
    const source = STEP_SCRIPTS['count-then-block'].replace('--@faults\n', () => `do ${fault} end\n`);
    const world: World = {
      policy: block(30, HOUR_MS),
      refusesForMs: 30_000,
      scripts: { ...STEP_SCRIPTS, 'count-then-block': source },
    };
    const { refusals, accepted: free } = await outcomeOf(world);
    expect(refusals <= mostRefusals(world) && free === 20).toBe(false);
  });
});
