import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { accepted, HOLD_MS, newProvider, notSent, refused, unknown } from '../../test/step-harness.js';
import { guardMs, type LimitedPolicy } from '../policy.js';

const LIMIT = 3;
const BLOCK_MS = 1_000;
const REOPENS_AFTER_MS = BLOCK_MS + guardMs(BLOCK_MS);
const COUNT_THEN_BLOCK: LimitedPolicy = {
  policy: 'count-then-block',
  limit: LIMIT,
  blockMs: BLOCK_MS,
  startsAt: 'last-accept',
};

let redis: Redis;
beforeAll(() => {
  redis = new Redis(process.env['TEST_REDIS_URL'] ?? '');
});
afterAll(() => redis.quit());

describe('count-then-block', () => {
  const newCount = () => newProvider(redis, COUNT_THEN_BLOCK);

  it('grants no more than the limit, however many permits are wanted', async () => {
    const { step } = await newCount();
    expect(await step({ want: 10 })).toMatchObject({ granted: 3, state: 'spent', used: 3, limit: 3 });
    expect(await step({ pod: 'b', want: 1 })).toMatchObject({ granted: 0, state: 'spent' });
  });

  it('does not take an unknown for counted when accepted requests announced nothing', async () => {
    const { step, clock } = await newCount();
    const { epoch } = await step({ want: 1 });
    await step({ settled: [unknown(epoch)] });
    await step({ want: 2 });
    // The unknown never arrived: the provider has one slot left and is not blocked.
    await step({ settled: [accepted(epoch)] });
    await step({ settled: [accepted(epoch, 1, { remaining: 1 })] });
    clock.ms += REOPENS_AFTER_MS;
    expect((await step({ want: 9 })).granted).toBe(1);
  });

  it('does not take an unknown for uncounted when it may have come after the announcement', async () => {
    const { step, clock } = await newCount();
    const { epoch } = await step({ want: 2 });
    clock.ms += 10;
    await step({ settled: [unknown(epoch)] });
    const announced = { ...accepted(epoch, 1, { remaining: 2 }), grantedAgoMs: 10 };
    expect((await step({ want: 9, settled: [announced] })).granted).toBe(1);
  });

  it('writes nothing when it grants nothing', async () => {
    const { step, fields } = await newCount();
    await step({ want: 3 });
    const before = await fields();
    await step({ pod: 'b', want: 5 });
    expect(await fields()).toEqual(before);
  });

  it('blocks from the last accepted answer for block and guard, then opens a new epoch', async () => {
    const { step, clock } = await newCount();
    const first = await step({ want: 3 });
    clock.ms += 40;
    expect(await step({ settled: [{ ...accepted(first.epoch, 3), ageMs: 10 }] })).toMatchObject({
      state: 'blocked',
      waitMs: REOPENS_AFTER_MS - 10,
      event: 'blocked',
    });
    clock.ms += REOPENS_AFTER_MS - 11;
    expect(await step({ want: 1 })).toMatchObject({ granted: 0, state: 'blocked', waitMs: 1 });
    clock.ms += 1;
    expect(await step({ want: 5 })).toMatchObject({ granted: 3, epoch: first.epoch + 1, event: 'reopened' });
  });

  it('stays spent until every permit is settled', async () => {
    const { step } = await newCount();
    const { epoch } = await step({ want: 3 });
    expect(await step({ settled: [accepted(epoch, 2)] })).toMatchObject({ state: 'spent' });
    expect(await step({ settled: [accepted(epoch)] })).toMatchObject({ state: 'blocked' });
  });

  it('returns an unused slot to the same epoch', async () => {
    const { step } = await newCount();
    const { epoch } = await step({ want: 3 });
    expect(await step({ want: 2, settled: [notSent(epoch)] })).toMatchObject({
      granted: 1,
      epoch,
      used: 3,
    });
  });

  it('ignores a settlement of an older epoch', async () => {
    const { step, clock } = await newCount();
    const { epoch } = await step({ want: 3 });
    await step({ settled: [accepted(epoch, 3)] });
    clock.ms += REOPENS_AFTER_MS;
    await step({ want: 3 });
    expect(await step({ pod: 'b', want: 3, settled: [notSent(epoch, 3)] })).toMatchObject({ granted: 0, used: 3 });
  });

  it('grants the same permits to a resent step, and counts them once', async () => {
    const { step } = await newCount();
    const { epoch } = await step({ want: 2 });
    await step({ seq: 2, want: 1, settled: [accepted(epoch)] });
    expect(await step({ seq: 2, want: 1, settled: [accepted(epoch)] })).toMatchObject({ granted: 1, used: 3 });
    expect(await step({ settled: [accepted(epoch)] })).toMatchObject({ state: 'spent' });
  });

  it('grants nothing for a step older than the last one', async () => {
    const { step } = await newCount();
    await step({ want: 1 });
    await step({ want: 1 });
    expect(await step({ seq: 1, want: 1 })).toMatchObject({ granted: 0, used: 2 });
  });

  it('counts permits of a crashed pod as unknown when they time out, and blocks from then', async () => {
    const { step, clock } = await newCount();
    const { epoch } = await step({ pod: 'dead', want: 1 });
    await step({ want: 2 });
    await step({ settled: [accepted(epoch, 2)] });
    clock.ms += HOLD_MS - 1;
    expect(await step({ want: 1 })).toMatchObject({ state: 'spent' });
    clock.ms += 1;
    expect(await step({ want: 1 })).toMatchObject({ granted: 0, state: 'blocked', waitMs: REOPENS_AFTER_MS });
  });

  it('distinguishes a late settlement of a timed-out permit from one of an outstanding permit', async () => {
    const { step, clock, fields } = await newCount();
    const { epoch } = await step({ pod: 'late', want: 1 });
    clock.ms += HOLD_MS;
    expect(await step({ want: 2 })).toMatchObject({ granted: 2, generation: 2 });
    // Two requests are still in flight: their window must not close before they are answered.
    expect(await step({ pod: 'late', settled: [accepted(epoch)] })).toMatchObject({ state: 'spent' });
    expect(await fields()).toMatchObject({ accepted: '1', unknown: '0', granted: '3' });
    const answers = { ...accepted(epoch, 2), generation: 2 };
    expect(await step({ settled: [answers] })).toMatchObject({ state: 'blocked' });
  });

  it('returns the slot of a timed-out permit that was never sent', async () => {
    const { step, clock } = await newCount();
    const { epoch } = await step({ pod: 'late', want: 1 });
    clock.ms += HOLD_MS;
    await step({ want: 2 });
    expect(await step({ pod: 'late', want: 1, settled: [notSent(epoch)] })).toMatchObject({ granted: 1, used: 3 });
  });

  it('grants one at a time after an epoch with unknowns, until the window is proven new', async () => {
    const { step, clock } = await newCount();
    const { epoch } = await step({ want: 3 });
    await step({ settled: [accepted(epoch, 2), unknown(epoch)] });
    clock.ms += REOPENS_AFTER_MS;
    expect(await step({ want: 3 })).toMatchObject({ granted: 1, state: 'spent' });
    expect(await step({ want: 3 })).toMatchObject({ granted: 0 });
    expect(await step({ want: 3, settled: [accepted(epoch + 1)] })).toMatchObject({ granted: 1 });
    expect(await step({ want: 3, settled: [accepted(epoch + 1)] })).toMatchObject({ granted: 1, used: 3 });
  });

  it('doubts the next window when a permit returns unsent during the block: the provider may have a slot left', async () => {
    const { step, clock } = await newCount();
    const { epoch } = await step({ pod: 'paused', want: 1 });
    await step({ want: 2 });
    await step({ settled: [accepted(epoch, 2)] });
    clock.ms += HOLD_MS;
    expect(await step()).toMatchObject({ state: 'blocked' });
    await step({ pod: 'paused', settled: [notSent(epoch)] });
    clock.ms += REOPENS_AFTER_MS;
    expect(await step({ want: 3 })).toMatchObject({ granted: 1, state: 'spent' });
  });

  it('blocks for a longer Retry-After, and trusts the window after a refusal', async () => {
    const { step, clock } = await newCount();
    const { epoch } = await step({ want: 2 });
    expect(await step({ want: 1, settled: [accepted(epoch), refused(epoch, 5_000)] })).toMatchObject({
      granted: 0,
      state: 'blocked',
      waitMs: 6_004,
      event: 'blocked',
    });
    clock.ms += 6_004;
    expect(await step({ want: 3 })).toMatchObject({ granted: 3, epoch: epoch + 1 });
  });

  it('starts no epoch while requests of a refused window are outstanding: they would arrive in the next', async () => {
    const { step, clock } = await newProvider(redis, { ...COUNT_THEN_BLOCK, blockMs: 300 });
    const { epoch } = await step({ want: 3 });
    await step({ settled: [refused(epoch, 100)] });
    clock.ms += 400;
    expect(await step({ want: 3 })).toMatchObject({ granted: 0, state: 'blocked', epoch });
    expect(await step({ want: 3, settled: [accepted(epoch, 2)] })).toMatchObject({ granted: 3, epoch: epoch + 1 });
  });

  it('reopens although a pod whose record was dropped settled twice', async () => {
    const { step, clock } = await newCount();
    const { epoch } = await step({ want: 3 });
    await step({ settled: [accepted(epoch, 2)] });
    await step({ pod: 'under another name', settled: [accepted(epoch, 2)] });
    expect(await step({ settled: [accepted(epoch)] })).toMatchObject({ state: 'blocked' });
    clock.ms += REOPENS_AFTER_MS;
    expect(await step({ want: 3 })).toMatchObject({ granted: 3 });
  });

  it('counts the block from an answer that arrives after its permit timed out', async () => {
    const { step, clock } = await newCount();
    const { epoch } = await step({ pod: 'slow', want: 1 });
    await step({ want: 2 });
    await step({ settled: [accepted(epoch, 2)] });
    clock.ms += HOLD_MS;
    await step();
    clock.ms += 100;
    expect(await step({ pod: 'slow', settled: [accepted(epoch)] })).toMatchObject({ waitMs: REOPENS_AFTER_MS });
  });

  it('cuts a Retry-After of more than a week', async () => {
    const { step } = await newCount();
    const { epoch } = await step({ want: 1 });
    expect((await step({ settled: [refused(epoch, 1e12)] })).waitMs).toBeLessThan(8 * 86_400_000);
  });

  it('never shortens a block', async () => {
    const { step } = await newCount();
    const { epoch } = await step({ want: 2 });
    await step({ settled: [refused(epoch, 5_000)] });
    expect(await step({ settled: [refused(epoch, 1_000)] })).toMatchObject({ state: 'blocked', waitMs: 6_004 });
  });

  it('takes a missing count for forgotten, not for new', async () => {
    const { provider, step, clock } = await newCount();
    const { epoch } = await step({ want: 3 });
    await redis.del(`{quota:${provider}}`);
    expect(await step({ want: 1, knownEpoch: epoch })).toMatchObject({
      granted: 0,
      state: 'blocked',
      waitMs: HOLD_MS + REOPENS_AFTER_MS,
      epoch: clock.ms,
      event: 'forgotten',
    });
  });

  it('starts a fresh count only when configured, and only for a pod that has seen none', async () => {
    const { provider, step, clock } = await newCount();
    await redis.del(`{quota:${provider}}`);
    const first = await step({ want: 1, whenForgotten: 'fresh' });
    expect(first).toMatchObject({ granted: 1, epoch: clock.ms, event: undefined });
    await redis.del(`{quota:${provider}}`);
    // The provider did not start anew: what this pod has seen of it remains true.
    expect(await step({ want: 1, whenForgotten: 'fresh', knownEpoch: first.epoch })).toMatchObject({
      granted: 0,
      state: 'blocked',
      epoch: first.epoch + 1,
      event: 'forgotten',
    });
  });

  it('takes a count older than what a pod has seen for forgotten', async () => {
    const { step } = await newCount();
    expect(await step({ want: 1, knownEpoch: 9 })).toMatchObject({ granted: 0, state: 'blocked', epoch: 1_000_000 });
  });

  it('keeps the count when the limit is lowered', async () => {
    const { step } = await newCount();
    await step({ want: 3 });
    expect(await step({ want: 9, policy: { ...COUNT_THEN_BLOCK, limit: 2 } })).toMatchObject({ granted: 0, used: 3 });
  });

  it('keeps the count when the limit is raised, and doubts that the provider blocked at the old limit', async () => {
    const { step, clock } = await newCount();
    const { epoch } = await step({ want: 3 });
    await step({ settled: [accepted(epoch, 3)] });
    const policy = { ...COUNT_THEN_BLOCK, limit: 20 };
    await step({ policy });
    clock.ms += REOPENS_AFTER_MS;
    // If the provider's limit was twenty all along, it never blocked and has seventeen left.
    expect(await step({ want: 20, policy })).toMatchObject({ granted: 1, epoch: epoch + 1 });
    const announced = accepted(epoch + 1, 1, { remaining: 16 });
    expect(await step({ want: 20, policy, settled: [announced] })).toMatchObject({ granted: 16, used: 20 });
  });

  it('times out permits of crashed pods while demand continues', async () => {
    const { step, clock, fields } = await newProvider(redis, { ...COUNT_THEN_BLOCK, limit: 1_000 });
    const { epoch } = await step({ pod: 'dead', want: 5 });
    let generation = 0;
    for (let tick = 0; tick < 12; tick += 1) {
      clock.ms += HOLD_MS / 4;
      ({ generation } = await step({ want: 1, settled: tick === 0 ? [] : [{ ...accepted(epoch), generation }] }));
    }
    expect(generation).toBeGreaterThan(1);
    expect(await fields()).toMatchObject({ unknown: '5', accepted: '11', granted: '17' });
  });

  it('never lets the clock run backwards', async () => {
    const { step, clock } = await newCount();
    const { epoch } = await step({ want: 3 });
    clock.ms += 100;
    await step({ settled: [accepted(epoch, 3)] });
    clock.ms -= 50_000;
    expect(await step({ want: 1 })).toMatchObject({ state: 'blocked', waitMs: REOPENS_AFTER_MS });
  });

  it('drops the record of a pod that has been silent for ten minutes', async () => {
    const { step, clock, fields } = await newCount();
    await step({ pod: 'gone', want: 1 });
    clock.ms += 600_001;
    await step({ pod: 'new', want: 1 });
    expect(Object.keys(await fields()).filter((field) => field.startsWith('pod:'))).toEqual(['pod:new']);
  });

  it('never expires: the hash has no TTL', async () => {
    const { provider, step } = await newCount();
    await step({ want: 1 });
    expect(await redis.ttl(`{quota:${provider}}`)).toBe(-1);
  });

  it('reuses the slots of unknowns once an announcement proves that they never arrived', async () => {
    const { step, clock } = await newCount();
    const { epoch } = await step({ want: 2 });
    await step({ settled: [unknown(epoch, 2)] });
    clock.ms += 10;
    await step({ want: 1 });
    clock.ms += 10;
    // Announced after the other two became unknown, with nothing else in flight: only this one was counted.
    const announced = { ...accepted(epoch, 1, { remaining: 2 }), ageMs: 2, grantedAgoMs: 8 };
    expect(await step({ want: 5, settled: [announced] })).toMatchObject({ granted: 2, used: 3 });
  });

  it('does not resolve unknowns by an announcement made before they became unknown', async () => {
    const { step } = await newCount();
    const { epoch } = await step({ want: 3 });
    const announced = { ...accepted(epoch, 2, { remaining: 1 }), ageMs: 50, grantedAgoMs: 60 };
    expect(await step({ want: 1, settled: [announced, unknown(epoch)] })).toMatchObject({
      granted: 0,
      state: 'blocked',
    });
  });

  it('grants the whole next window when an announcement proves that the unknowns were counted', async () => {
    const { step, clock } = await newCount();
    const { epoch } = await step({ want: 2 });
    await step({ settled: [accepted(epoch), unknown(epoch)] });
    clock.ms += 10;
    await step({ want: 1 });
    clock.ms += 10;
    await step({ settled: [{ ...accepted(epoch, 1, { remaining: 0 }), ageMs: 2, grantedAgoMs: 8 }] });
    clock.ms += REOPENS_AFTER_MS;
    expect(await step({ want: 3 })).toMatchObject({ granted: 3, epoch: epoch + 1 });
  });

  it('leaves room for what another client used, and reports how much', async () => {
    const { step } = await newCount();
    const { epoch } = await step({ want: 1 });
    const announced = accepted(epoch, 1, { remaining: 1 });
    expect(await step({ want: 3, settled: [announced] })).toMatchObject({ granted: 1, used: 3, foreign: 1 });
  });

  it('is blocked when another client took the last slot', async () => {
    const { step } = await newCount();
    const { epoch } = await step({ want: 1 });
    expect(await step({ want: 3, settled: [accepted(epoch, 1, { remaining: 0 })] })).toMatchObject({
      granted: 0,
      state: 'blocked',
      waitMs: REOPENS_AFTER_MS,
      foreign: 2,
    });
  });

  it.each([3.5e9, 11])('ignores an announcement that %d requests of three remain', async (remaining) => {
    const { step } = await newCount();
    const { epoch } = await step({ want: 1 });
    expect(await step({ want: 3, settled: [accepted(epoch, 1, { remaining })] })).toMatchObject({
      granted: 2,
      foreign: 0,
    });
  });

  it('follows an announced block longer than configured', async () => {
    const { step } = await newCount();
    const { epoch } = await step({ want: 3 });
    const announced = accepted(epoch, 3, { remaining: 0, resetMs: 9_000 });
    expect(await step({ settled: [announced] })).toMatchObject({ state: 'blocked', waitMs: 10_004 });
  });

  it('follows an announced limit until a refusal proves it wrong', async () => {
    const { step, clock } = await newCount();
    const { epoch } = await step({ want: 1 });
    const announced = accepted(epoch, 1, { remaining: 5, limit: 6 });
    expect(await step({ want: 9, settled: [announced] })).toMatchObject({ granted: 5, limit: 6 });
    expect(await step({ settled: [accepted(epoch, 2), refused(epoch)] })).toMatchObject({ limit: 3, state: 'blocked' });
    clock.ms += REOPENS_AFTER_MS + HOLD_MS;
    const next = await step({ want: 9 });
    expect(next).toMatchObject({ granted: 3, limit: 3 });
    expect(await step({ settled: [{ ...announced, epoch: next.epoch }] })).toMatchObject({ limit: 3 });
  });

  it('keeps the count when the block is configured longer or shorter', async () => {
    const { step, clock } = await newCount();
    const { epoch } = await step({ want: 3 });
    await step({ settled: [accepted(epoch, 3)] });
    clock.ms += 100;
    const longer = { ...COUNT_THEN_BLOCK, blockMs: 5_000 };
    expect(await step({ policy: longer })).toMatchObject({
      state: 'blocked',
      waitMs: 5_000 + guardMs(5_000) - 100,
      epoch,
    });
    const shorter = { ...COUNT_THEN_BLOCK, blockMs: 200 };
    expect(await step({ policy: shorter })).toMatchObject({
      state: 'blocked',
      waitMs: 200 + guardMs(200) - 100,
      epoch,
    });
  });

  it('treats the count as forgotten when another policy is configured', async () => {
    const { step } = await newCount();
    await step({ want: 1 });
    const policy = { policy: 'sliding-window', limit: 3, windowMs: BLOCK_MS } as const;
    expect(await step({ want: 3, policy })).toMatchObject({ granted: 0, state: 'blocked', event: 'forgotten' });
  });

  it('notices a count without a step that was recorded', async () => {
    const { provider, step, fields } = await newCount();
    await step({ want: 1 });
    const older = await fields();
    expect(await step({ want: 1 })).toMatchObject({ isRecorded: true });
    await redis.del(`{quota:${provider}}`);
    await redis.hset(`{quota:${provider}}`, older);
    expect(await step({ want: 1, knownEpoch: 1, recordedSeq: 2 })).toMatchObject({
      granted: 0,
      state: 'blocked',
      event: 'forgotten',
    });
  });

  it('accepts a pod whose last step changed nothing and was not recorded', async () => {
    const { step } = await newCount();
    await step({ pod: 'b', want: 3 });
    expect(await step({ want: 1 })).toMatchObject({ isRecorded: false });
    expect(await step({ want: 1, recordedSeq: 0 })).toMatchObject({ state: 'spent', event: undefined });
  });

  it('grants nothing for 250 ms after another server took over', async () => {
    const { step, clock } = await newCount();
    await step({ want: 1, server: 'one' });
    expect(await step({ want: 1, server: 'other' })).toMatchObject({ granted: 0, state: 'blocked', waitMs: 250 });
    clock.ms += 250;
    expect(await step({ want: 1, server: 'other' })).toMatchObject({ granted: 1, used: 2 });
  });

  it('stays blocked as long as a pod knows, although the Redis clock jumped', async () => {
    const { step, clock } = await newCount();
    const { epoch } = await step({ want: 3 });
    await step({ settled: [accepted(epoch, 3)] });
    clock.ms += 3_600_000;
    expect(await step({ want: 3, knownEpoch: epoch, knownWaitMs: 900 })).toMatchObject({ granted: 0, waitMs: 900 });
    expect(await step({ pod: 'b', want: 3 })).toMatchObject({ granted: 0, state: 'blocked', waitMs: 900 });
    clock.ms += 900;
    expect(await step({ want: 3 })).toMatchObject({ granted: 3 });
  });
});

describe('count-then-block from the first refusal', () => {
  const newCount = () => newProvider(redis, { ...COUNT_THEN_BLOCK, startsAt: 'first-refusal' });

  it('grants one more than the limit, which starts the block', async () => {
    const { step, clock } = await newCount();
    const { epoch, granted } = await step({ want: 9 });
    expect(granted).toBe(4);
    const settled = [accepted(epoch, 3), refused(epoch)];
    expect(await step({ want: 1, settled })).toMatchObject({ granted: 0, state: 'blocked', waitMs: REOPENS_AFTER_MS });
    clock.ms += REOPENS_AFTER_MS;
    expect(await step({ want: 9 })).toMatchObject({ granted: 4, epoch: epoch + 1 });
  });

  it('does not believe twice a Retry-After shorter than the block', async () => {
    const { step, clock } = await newProvider(redis, {
      ...COUNT_THEN_BLOCK,
      blockMs: 60_000,
      startsAt: 'first-refusal',
    });
    const { epoch } = await step({ want: 9 });
    const { waitMs } = await step({ settled: [accepted(epoch, 3), refused(epoch, 1_000)] });
    expect(waitMs).toBe(2_000);
    clock.ms += waitMs;
    // One request asks, and is refused.
    expect(await step({ want: 9 })).toMatchObject({ granted: 1, epoch: epoch + 1 });
    expect(await step({ settled: [refused(epoch + 1, 1_000)] })).toMatchObject({ waitMs: 60_000 + guardMs(60_000) });
  });

  it('probes one at a time when it is unknown whether the probe arrived', async () => {
    const { step } = await newCount();
    const { epoch } = await step({ want: 9 });
    await step({ settled: [accepted(epoch, 3), unknown(epoch)] });
    expect(await step({ want: 9 })).toMatchObject({ granted: 1 });
    expect(await step({ want: 9, settled: [refused(epoch)] })).toMatchObject({ granted: 0, state: 'blocked' });
  });
});
