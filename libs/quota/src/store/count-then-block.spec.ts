import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { accepted, HOLD_MS, newProvider, refused } from '../../test/step-harness.js';
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

describe('a step for count-then-block', () => {
  let redis: Redis;
  beforeAll(() => {
    redis = new Redis(process.env['TEST_REDIS_URL'] ?? '', { lazyConnect: false });
  });
  afterAll(() => redis.quit());

  const newCount = () => newProvider(redis, COUNT_THEN_BLOCK);

  it('grants no more than the limit, however many are wanted', async () => {
    const { step } = await newCount();
    expect(await step({ want: 10 })).toMatchObject({ granted: 3, state: 'spent', used: 3, limit: 3 });
    expect(await step({ pod: 'b', want: 1 })).toMatchObject({ granted: 0, state: 'spent' });
  });

  it('takes no unknown for counted that may not be, where some answers do not say what remains', async () => {
    const { step, clock } = await newCount();
    const { epoch } = await step({ want: 1 });
    await step({ settled: [{ epoch, settlement: { outcome: 'unknown' } }] });
    await step({ want: 2 });
    // It never came: the provider has one left, and is not blocked.
    await step({ settled: [accepted(epoch)] });
    await step({ settled: [accepted(epoch, 1, { remaining: 1 })] });
    clock.ms += REOPENS_AFTER_MS;
    expect((await step({ want: 9 })).granted).toBe(1);
  });

  it('takes no unknown for uncounted that may have come after who says what remains', async () => {
    const { step, clock } = await newCount();
    const { epoch } = await step({ want: 2 });
    clock.ms += 10;
    await step({ settled: [{ epoch, settlement: { outcome: 'unknown' } }] });
    const told = { ...accepted(epoch, 1, { remaining: 2 }), grantedMs: 10 };
    expect((await step({ want: 9, settled: [told] })).granted).toBe(1);
  });

  it('writes nothing when it refuses', async () => {
    const { step, fields } = await newCount();
    await step({ want: 3 });
    const before = await fields();
    await step({ pod: 'b', want: 5 });
    expect(await fields()).toEqual(before);
  });

  it('blocks from the last accepted answer for the whole block and a guard, then opens a new epoch', async () => {
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

  it('gives a slot that was not used back to the same epoch', async () => {
    const { step } = await newCount();
    const { epoch } = await step({ want: 3 });
    expect(await step({ want: 2, settled: [{ epoch, settlement: { outcome: 'notSent' } }] })).toMatchObject({
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
    expect(
      await step({ pod: 'b', want: 3, settled: [{ epoch, settlement: { outcome: 'notSent' }, count: 3 }] }),
    ).toMatchObject({ granted: 0, used: 3 });
  });

  it('gives the same permits to the same step sent twice, and counts them once', async () => {
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

  it('counts permits of a dead pod as unknown once they have run out, and blocks from then', async () => {
    const { step, clock } = await newCount();
    const { epoch } = await step({ pod: 'dead', want: 1 });
    await step({ want: 2 });
    await step({ settled: [accepted(epoch, 2)] });
    clock.ms += HOLD_MS - 1;
    expect(await step({ want: 1 })).toMatchObject({ state: 'spent' });
    clock.ms += 1;
    expect(await step({ want: 1 })).toMatchObject({ granted: 0, state: 'blocked', waitMs: REOPENS_AFTER_MS });
  });

  it('tells a permit that was given up from one in flight when its settlement comes after all', async () => {
    const { step, clock, fields } = await newCount();
    const { epoch } = await step({ pod: 'late', want: 1 });
    clock.ms += HOLD_MS;
    expect(await step({ want: 2 })).toMatchObject({ granted: 2, generation: 2 });
    // Two are in flight still: their window must not be closed before they are answered.
    expect(await step({ pod: 'late', settled: [accepted(epoch)] })).toMatchObject({ state: 'spent' });
    expect(await fields()).toMatchObject({ accepted: '1', unknown: '0', granted: '3' });
    const answers = { ...accepted(epoch, 2), generation: 2 };
    expect(await step({ settled: [answers] })).toMatchObject({ state: 'blocked' });
  });

  it('gives the slot of a permit that was given up back when it was never sent', async () => {
    const { step, clock } = await newCount();
    const { epoch } = await step({ pod: 'late', want: 1 });
    clock.ms += HOLD_MS;
    await step({ want: 2 });
    expect(
      await step({ pod: 'late', want: 1, settled: [{ epoch, settlement: { outcome: 'notSent' } }] }),
    ).toMatchObject({ granted: 1, used: 3 });
  });

  it('sends one at a time after an epoch with unknowns, until the window has proved new', async () => {
    const { step, clock } = await newCount();
    const { epoch } = await step({ want: 3 });
    await step({ settled: [accepted(epoch, 2), { epoch, settlement: { outcome: 'unknown' } }] });
    clock.ms += REOPENS_AFTER_MS;
    expect(await step({ want: 3 })).toMatchObject({ granted: 1, state: 'spent' });
    expect(await step({ want: 3 })).toMatchObject({ granted: 0 });
    expect(await step({ want: 3, settled: [accepted(epoch + 1)] })).toMatchObject({ granted: 1 });
    expect(await step({ want: 3, settled: [accepted(epoch + 1)] })).toMatchObject({ granted: 1, used: 3 });
  });

  it('does not trust the next window when a permit comes back unsent while blocked: the provider may have one left', async () => {
    const { step, clock } = await newCount();
    const { epoch } = await step({ pod: 'paused', want: 1 });
    await step({ want: 2 });
    await step({ settled: [accepted(epoch, 2)] });
    clock.ms += HOLD_MS;
    expect(await step()).toMatchObject({ state: 'blocked' });
    await step({ pod: 'paused', settled: [{ epoch, settlement: { outcome: 'notSent' } }] });
    clock.ms += REOPENS_AFTER_MS;
    expect(await step({ want: 3 })).toMatchObject({ granted: 1, state: 'spent' });
  });

  it('stays away as long as a refusing provider asks, and trusts the window after it', async () => {
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

  it('does not turn while requests of a refused window are on their way: they would arrive in the next', async () => {
    const { step, clock } = await newProvider(redis, { ...COUNT_THEN_BLOCK, blockMs: 300 });
    const { epoch } = await step({ want: 3 });
    await step({ settled: [refused(epoch, 100)] });
    clock.ms += 400;
    expect(await step({ want: 3 })).toMatchObject({ granted: 0, state: 'blocked', epoch });
    expect(await step({ want: 3, settled: [accepted(epoch, 2)] })).toMatchObject({ granted: 3, epoch: epoch + 1 });
  });

  it('opens again although a forgotten pod told the same settlement twice', async () => {
    const { step, clock } = await newCount();
    const { epoch } = await step({ want: 3 });
    await step({ settled: [accepted(epoch, 2)] });
    await step({ pod: 'under another name', settled: [accepted(epoch, 2)] });
    expect(await step({ settled: [accepted(epoch)] })).toMatchObject({ state: 'blocked' });
    clock.ms += REOPENS_AFTER_MS;
    expect(await step({ want: 3 })).toMatchObject({ granted: 3 });
  });

  it('counts the block from an answer that comes after its permit was given up', async () => {
    const { step, clock } = await newCount();
    const { epoch } = await step({ pod: 'slow', want: 1 });
    await step({ want: 2 });
    await step({ settled: [accepted(epoch, 2)] });
    clock.ms += HOLD_MS;
    await step();
    clock.ms += 100;
    expect(await step({ pod: 'slow', settled: [accepted(epoch)] })).toMatchObject({ waitMs: REOPENS_AFTER_MS });
  });

  it('believes no provider that asks for more than a week', async () => {
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

  it('starts anew only where it is told to, and only for a pod that has seen nothing yet', async () => {
    const { provider, step, clock } = await newCount();
    await redis.del(`{quota:${provider}}`);
    const first = await step({ want: 1, whenForgotten: 'fresh' });
    expect(first).toMatchObject({ granted: 1, epoch: clock.ms, event: undefined });
    await redis.del(`{quota:${provider}}`);
    // The provider is still where it was: what this pod has seen of it is not undone.
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

  it('keeps the count when the limit gets smaller', async () => {
    const { step } = await newCount();
    await step({ want: 3 });
    expect(await step({ want: 9, policy: { ...COUNT_THEN_BLOCK, limit: 2 } })).toMatchObject({ granted: 0, used: 3 });
  });

  it('keeps the count when the limit gets larger, and finds out whether it was larger all along', async () => {
    const { step, clock } = await newCount();
    const { epoch } = await step({ want: 3 });
    await step({ settled: [accepted(epoch, 3)] });
    const policy = { ...COUNT_THEN_BLOCK, limit: 20 };
    await step({ policy });
    clock.ms += REOPENS_AFTER_MS;
    // A provider that accepts twenty has never blocked, and has seventeen left.
    expect(await step({ want: 20, policy })).toMatchObject({ granted: 1, epoch: epoch + 1 });
    const told = accepted(epoch + 1, 1, { remaining: 16 });
    expect(await step({ want: 20, policy, settled: [told] })).toMatchObject({ granted: 16, used: 20 });
  });

  it('gives up the permits of the dead also while others come without a pause', async () => {
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

  it('forgets pods that have been silent for ten minutes', async () => {
    const { step, clock, fields } = await newCount();
    await step({ pod: 'gone', want: 1 });
    clock.ms += 600_001;
    await step({ pod: 'new', want: 1 });
    expect(Object.keys(await fields()).filter((field) => field.startsWith('pod:'))).toEqual(['pod:new']);
  });

  it('never expires: the hash has no time to live', async () => {
    const { provider, step } = await newCount();
    await step({ want: 1 });
    expect(await redis.ttl(`{quota:${provider}}`)).toBe(-1);
  });

  it('takes up slots whose requests never arrived, once the provider says that nothing else was counted', async () => {
    const { step, clock } = await newCount();
    const { epoch } = await step({ want: 2 });
    await step({ settled: [{ epoch, settlement: { outcome: 'unknown' }, count: 2 }] });
    clock.ms += 10;
    await step({ want: 1 });
    clock.ms += 10;
    // Told after the other two were given up, with nothing on its way: it has seen this one only.
    const told = { ...accepted(epoch, 1, { remaining: 2 }), ageMs: 2, grantedMs: 8 };
    expect(await step({ want: 5, settled: [told] })).toMatchObject({ granted: 2, used: 3 });
  });

  it('believes no count that was told before an answer was given up', async () => {
    const { step } = await newCount();
    const { epoch } = await step({ want: 3 });
    const unknown = { epoch, settlement: { outcome: 'unknown' } as const };
    const told = { ...accepted(epoch, 2, { remaining: 1 }), ageMs: 50, grantedMs: 60 };
    expect(await step({ want: 1, settled: [told, unknown] })).toMatchObject({ granted: 0, state: 'blocked' });
  });

  it('enters a window at full speed when the provider has counted the unknown as well', async () => {
    const { step, clock } = await newCount();
    const { epoch } = await step({ want: 2 });
    await step({ settled: [accepted(epoch), { epoch, settlement: { outcome: 'unknown' } }] });
    clock.ms += 10;
    await step({ want: 1 });
    clock.ms += 10;
    await step({ settled: [{ ...accepted(epoch, 1, { remaining: 0 }), ageMs: 2, grantedMs: 8 }] });
    clock.ms += REOPENS_AFTER_MS;
    expect(await step({ want: 3 })).toMatchObject({ granted: 3, epoch: epoch + 1 });
  });

  it('leaves alone what somebody else took, and says how much', async () => {
    const { step } = await newCount();
    const { epoch } = await step({ want: 1 });
    const told = accepted(epoch, 1, { remaining: 1 });
    expect(await step({ want: 3, settled: [told] })).toMatchObject({ granted: 1, used: 3, foreign: 1 });
  });

  it('is blocked when somebody else took the last', async () => {
    const { step } = await newCount();
    const { epoch } = await step({ want: 1 });
    expect(await step({ want: 3, settled: [accepted(epoch, 1, { remaining: 0 })] })).toMatchObject({
      granted: 0,
      state: 'blocked',
      waitMs: REOPENS_AFTER_MS,
      foreign: 2,
    });
  });

  it.each([3.5e9, 11])('is not confused by a provider that says %d remain of three', async (remaining) => {
    const { step } = await newCount();
    const { epoch } = await step({ want: 1 });
    expect(await step({ want: 3, settled: [accepted(epoch, 1, { remaining })] })).toMatchObject({
      granted: 2,
      foreign: 0,
    });
  });

  it('learns of a longer block before it runs into it', async () => {
    const { step } = await newCount();
    const { epoch } = await step({ want: 3 });
    const told = accepted(epoch, 3, { remaining: 0, resetMs: 9_000 });
    expect(await step({ settled: [told] })).toMatchObject({ state: 'blocked', waitMs: 10_004 });
  });

  it('follows a limit the provider announces, and gives it up when that proves wrong', async () => {
    const { step, clock } = await newCount();
    const { epoch } = await step({ want: 1 });
    const told = accepted(epoch, 1, { remaining: 5, limit: 6 });
    expect(await step({ want: 9, settled: [told] })).toMatchObject({ granted: 5, limit: 6 });
    expect(await step({ settled: [accepted(epoch, 2), refused(epoch)] })).toMatchObject({ limit: 3, state: 'blocked' });
    clock.ms += REOPENS_AFTER_MS + HOLD_MS;
    const next = await step({ want: 9 });
    expect(next).toMatchObject({ granted: 3, limit: 3 });
    expect(await step({ settled: [{ ...told, epoch: next.epoch }] })).toMatchObject({ limit: 3 });
  });

  it('goes on with the count when the block is configured longer or shorter', async () => {
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

  it('starts from nothing known when the provider is said to count in another way', async () => {
    const { step } = await newCount();
    await step({ want: 1 });
    const policy = { policy: 'sliding-window', limit: 3, windowMs: BLOCK_MS } as const;
    expect(await step({ want: 3, policy })).toMatchObject({ granted: 0, state: 'blocked', event: 'forgotten' });
  });

  it('notices a count that is older than a step this pod knows to be in it', async () => {
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

  it('takes no harm from a pod whose last step changed nothing and was not recorded', async () => {
    const { step } = await newCount();
    await step({ pod: 'b', want: 3 });
    expect(await step({ want: 1 })).toMatchObject({ isRecorded: false });
    expect(await step({ want: 1, recordedSeq: 0 })).toMatchObject({ state: 'spent', event: undefined });
  });

  it('hears what other pods know before it trusts the count of another server', async () => {
    const { step, clock } = await newCount();
    await step({ want: 1, server: 'one' });
    expect(await step({ want: 1, server: 'other' })).toMatchObject({ granted: 0, state: 'blocked', waitMs: 250 });
    clock.ms += 250;
    expect(await step({ want: 1, server: 'other' })).toMatchObject({ granted: 1, used: 2 });
  });

  it('stays closed for as long as a pod remembers, whatever the clock of Redis has come to think', async () => {
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

describe('a step for a block that begins with the first refusal', () => {
  let redis: Redis;
  beforeAll(() => {
    redis = new Redis(process.env['TEST_REDIS_URL'] ?? '');
  });
  afterAll(() => redis.quit());

  const newCount = () => newProvider(redis, { ...COUNT_THEN_BLOCK, startsAt: 'first-refusal' });

  it('grants one more than the limit, which begins the block', async () => {
    const { step, clock } = await newCount();
    const { epoch, granted } = await step({ want: 9 });
    expect(granted).toBe(4);
    const settled = [accepted(epoch, 3), refused(epoch)];
    expect(await step({ want: 1, settled })).toMatchObject({ granted: 0, state: 'blocked', waitMs: REOPENS_AFTER_MS });
    clock.ms += REOPENS_AFTER_MS;
    expect(await step({ want: 9 })).toMatchObject({ granted: 4, epoch: epoch + 1 });
  });

  it('does not believe twice that it may come back sooner than the block lasts', async () => {
    const { step, clock } = await newProvider(redis, {
      ...COUNT_THEN_BLOCK,
      blockMs: 60_000,
      startsAt: 'first-refusal',
    });
    const { epoch } = await step({ want: 9 });
    const { waitMs } = await step({ settled: [accepted(epoch, 3), refused(epoch, 1_000)] });
    expect(waitMs).toBe(2_000);
    clock.ms += waitMs;
    // It is asked by one only, and refuses.
    expect(await step({ want: 9 })).toMatchObject({ granted: 1, epoch: epoch + 1 });
    expect(await step({ settled: [refused(epoch + 1, 1_000)] })).toMatchObject({ waitMs: 60_000 + guardMs(60_000) });
  });

  it('goes on one at a time when nobody knows whether the one that begins it arrived', async () => {
    const { step } = await newCount();
    const { epoch } = await step({ want: 9 });
    await step({ settled: [accepted(epoch, 3), { epoch, settlement: { outcome: 'unknown' } }] });
    expect(await step({ want: 9 })).toMatchObject({ granted: 1 });
    expect(await step({ want: 9, settled: [refused(epoch)] })).toMatchObject({ granted: 0, state: 'blocked' });
  });
});
