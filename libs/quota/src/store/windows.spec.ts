import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { accepted, HOLD_MS, newProvider, notSent, refused, unknown } from '../../test/step-harness.js';
import { guardMs } from '../policy.js';

const LIMIT = 4;
const WINDOW_MS = 1_000;
const GUARD_MS = guardMs(WINDOW_MS);

let redis: Redis;
beforeAll(() => {
  redis = new Redis(process.env['TEST_REDIS_URL'] ?? '');
});
afterAll(() => redis.quit());

describe('a fixed window that starts with the first accepted request', () => {
  const newWindow = () =>
    newProvider(redis, {
      policy: 'fixed-window',
      limit: LIMIT,
      windowMs: WINDOW_MS,
      anchor: 'first-accept',
      clockSkewMs: 0,
    });

  it('reopens one window and guard after its first answer, however late the other answers came', async () => {
    const { step, clock } = await newWindow();
    const { epoch } = await step({ want: 1 });
    clock.ms += 10;
    await step({ want: 3, settled: [accepted(epoch)] });
    clock.ms += 500;
    expect(await step({ want: 1, settled: [accepted(epoch, 3)] })).toMatchObject({
      granted: 0,
      state: 'blocked',
      waitMs: WINDOW_MS + GUARD_MS - 500,
    });
    clock.ms += WINDOW_MS + GUARD_MS - 500;
    expect(await step({ want: 9 })).toMatchObject({ granted: LIMIT, epoch: epoch + 1, event: 'reopened' });
  });

  it('starts with the first grant, not with the first step', async () => {
    const { step, clock } = await newWindow();
    await step();
    clock.ms += 5_000;
    const { epoch } = await step({ want: 1 });
    clock.ms += 900;
    expect(await step({ want: 1, settled: [accepted(epoch)] })).toMatchObject({ granted: 0 });
  });

  it('says how long the slots of an open window can still be used', async () => {
    const { step, clock } = await newWindow();
    const unused = await step();
    const { epoch } = await step({ want: 1 });
    clock.ms += 20;
    await step({ settled: [accepted(epoch)] });
    clock.ms += 400;
    const open = await step();
    expect(unused.windowEndsInMs).toBeUndefined();
    expect(open).toMatchObject({ state: 'open', windowEndsInMs: WINDOW_MS - GUARD_MS - 20 - 420 });
  });

  it('grants nothing when a request might arrive in the next window', async () => {
    const { step, clock } = await newWindow();
    const { epoch } = await step({ want: 1 });
    clock.ms += 20;
    await step({ settled: [accepted(epoch)] });
    clock.ms += WINDOW_MS - GUARD_MS - 2 * 20 - 1;
    expect((await step({ want: 1 })).granted).toBe(1);
    clock.ms += 1;
    expect(await step({ want: 1 })).toMatchObject({ granted: 0, state: 'blocked', epoch });
  });

  it('counts requests in flight at its end in the next window too', async () => {
    const { step, clock } = await newWindow();
    const { epoch } = await step({ want: 2 });
    await step({ settled: [accepted(epoch)] });
    clock.ms += WINDOW_MS + GUARD_MS;
    // Answered before it times out.
    expect(await step({ want: 9, settled: [accepted(epoch)] })).toMatchObject({ granted: LIMIT - 1, epoch: epoch + 1 });
  });

  it.each([
    ['follows an announced end that rounding cannot explain', 3_000, 4_000],
    ['keeps its assumed end when rounding explains the difference', 9_000, 10_000 + guardMs(10_000)],
    ['keeps its assumed end when the announcement is of another window', 86_400_000, 10_000 + guardMs(10_000)],
  ])('%s', async (_what, resetMs, waitMs) => {
    const tenSeconds = { windowMs: 10_000, anchor: 'first-accept', clockSkewMs: 0 } as const;
    const { step } = await newProvider(redis, { policy: 'fixed-window', limit: LIMIT, ...tenSeconds });
    const { epoch } = await step({ want: 4 });
    const announced = accepted(epoch, 4, { remaining: 0, resetMs });
    expect(await step({ settled: [announced] })).toMatchObject({ state: 'blocked', waitMs });
  });

  it('takes no counted request for uncounted when answers are reported out of order', async () => {
    const { step, clock } = await newWindow();
    const { epoch } = await step({ want: 1 });
    await step({ settled: [unknown(epoch)] });
    clock.ms += 10;
    await step({ pod: 'a', want: 1 });
    await step({ pod: 'b', want: 1 });
    await step({ pod: 'b', settled: [accepted(epoch, 1, { remaining: 1 })] });
    expect(await step({ pod: 'a', want: 9, settled: [accepted(epoch, 1, { remaining: 2 })] })).toMatchObject({
      granted: 1,
      used: LIMIT,
    });
  });

  it('measures answer times from the first grant, not from the start of the window', async () => {
    const { step, clock } = await newWindow();
    const { epoch } = await step({ want: 2 });
    await step({ settled: [accepted(epoch)] });
    clock.ms += WINDOW_MS + GUARD_MS;
    await step({ settled: [accepted(epoch)] });
    clock.ms += 400;
    await step({ want: 1 });
    clock.ms += 10;
    await step({ settled: [accepted(epoch + 1)] });
    clock.ms += WINDOW_MS - 410 - 3 * GUARD_MS - 11;
    expect((await step({ want: 1 })).granted).toBe(1);
  });

  it('grants nothing in a window that another client started and that may end at any time', async () => {
    const { step } = await newWindow();
    const { epoch } = await step({ want: 1 });
    // It may end at any time: one second of rounding is as long as the window.
    const announced = accepted(epoch, 1, { remaining: 1, resetMs: 1_000 });
    expect(await step({ want: 9, settled: [announced] })).toMatchObject({ granted: 0, foreign: 2, used: 3 });
  });
});

describe('a fixed window that follows the clock', () => {
  const SKEW_MS = 30;
  const END_MS = 5_001_000;
  const newWindow = (startsAtMs: number, windowMs = WINDOW_MS) =>
    newProvider(
      redis,
      { policy: 'fixed-window', limit: LIMIT, windowMs, anchor: 'clock', clockSkewMs: SKEW_MS },
      startsAtMs,
    );
  /** Two requests accepted in one window, and one at its end. */
  const aroundTheEnd = async () => {
    const window = await newWindow(END_MS - 600);
    const { step, clock } = window;
    const { epoch } = await step({ want: 2 });
    await step({ settled: [accepted(epoch, 2)] });
    clock.ms = END_MS - SKEW_MS;
    await step({ want: 1 });
    clock.ms += 5;
    await step({ settled: [accepted(epoch)] });
    clock.ms = END_MS + SKEW_MS;
    return { ...window, epoch: epoch + 1 };
  };

  it('reopens when both clocks have passed the boundary', async () => {
    const { step, clock } = await newWindow(END_MS - 600);
    const { epoch } = await step({ want: 9 });
    clock.ms += 10;
    expect(await step({ settled: [accepted(epoch, 4)] })).toMatchObject({
      state: 'blocked',
      waitMs: 600 - 10 + SKEW_MS,
    });
    clock.ms = END_MS + SKEW_MS;
    expect((await step({ want: 1 })).granted).toBe(1);
  });

  it('grants at the boundary what is free in both windows, and counts it in both', async () => {
    const { step, epoch } = await aroundTheEnd();
    expect(await step({ want: 9 })).toMatchObject({ granted: LIMIT - 1, epoch });
    const spent = await newWindow(END_MS - SKEW_MS);
    expect((await spent.step({ want: 9 })).granted).toBe(LIMIT);
    spent.clock.ms = END_MS;
    expect((await spent.step({ want: 1 })).granted).toBe(0);
  });

  it('learns from later announcements in which window a carried request counted, with others in flight', async () => {
    const { step, epoch } = await aroundTheEnd();
    await step({ want: 3 });
    expect(await step({ want: 9, settled: [accepted(epoch, 1, { remaining: 3 })] })).toMatchObject({ granted: 1 });
  });

  it('does not learn it from a request that may have been accepted before', async () => {
    const { step, clock, epoch } = await aroundTheEnd();
    await step({ want: 3 });
    clock.ms += 100;
    const announced = { ...accepted(epoch, 1, { remaining: 3 }), grantedAgoMs: 100 + 2 * SKEW_MS };
    expect(await step({ want: 9, settled: [announced] })).toMatchObject({ granted: 0 });
  });

  it('stays spent, not blocked, while a carried request may still return its slot', async () => {
    const { step, clock } = await newWindow(END_MS - SKEW_MS);
    const { epoch } = await step({ want: LIMIT });
    clock.ms = END_MS + SKEW_MS;
    expect(await step({ want: 1 })).toMatchObject({ granted: 0, state: 'spent', epoch: epoch + 1 });
    expect(await step({ want: 9, settled: [notSent(epoch)] })).toMatchObject({ granted: 1 });
  });

  it('does not infer order from answers without RateLimit headers', async () => {
    const { step, epoch } = await aroundTheEnd();
    await step({ want: 3 });
    expect(await step({ want: 9, settled: [accepted(epoch, 1, { remaining: 2 }), accepted(epoch, 2)] })).toMatchObject({
      granted: 0,
    });
  });

  it('does not take the announced end of the next window for its own', async () => {
    const { step, clock } = await newWindow(5_004_000 - SKEW_MS, 4_000);
    const { epoch } = await step({ want: 1 });
    clock.ms += SKEW_MS + 1;
    await step({ settled: [accepted(epoch, 1, { remaining: LIMIT - 1, resetMs: 4_000 })] });
    clock.ms += SKEW_MS;
    expect(await step({ want: 9 })).toMatchObject({ granted: LIMIT - 1, epoch: epoch + 1 });
  });
});

describe('a sliding window', () => {
  const PART_MS = Math.ceil(WINDOW_MS / 256);
  const newWindow = () => newProvider(redis, { policy: 'sliding-window', limit: LIMIT, windowMs: WINDOW_MS });

  it('frees each slot one window and guard after its own answer', async () => {
    const { step, clock } = await newWindow();
    const { epoch } = await step({ want: 9 });
    await step({ settled: [accepted(epoch, 1)] });
    clock.ms += 500;
    const { state, waitMs } = await step({ settled: [accepted(epoch, 3)] });
    expect(state).toBe('blocked');
    expect(waitMs).toBeGreaterThanOrEqual(WINDOW_MS + GUARD_MS - 500);
    expect(waitMs).toBeLessThan(WINDOW_MS + GUARD_MS - 500 + PART_MS);
    clock.ms += waitMs - 1;
    expect((await step({ want: 9 })).granted).toBe(0);
    clock.ms += 1;
    expect(await step({ want: 9 })).toMatchObject({ granted: 1, epoch });
  });

  it('counts unknown requests as used', async () => {
    const { step, clock } = await newWindow();
    const { epoch } = await step({ want: 4 });
    await step({ settled: [unknown(epoch), unknown(epoch)] });
    clock.ms += HOLD_MS;
    expect(await step({ want: 9 })).toMatchObject({ granted: 0, state: 'blocked', used: 4 });
  });

  it('leaves room for what another client used, for one window', async () => {
    const { step, clock } = await newWindow();
    const { epoch } = await step({ want: 1 });
    const announced = accepted(epoch, 1, { remaining: 1 });
    expect(await step({ want: 9, settled: [announced] })).toMatchObject({ granted: 1, foreign: 2 });
    clock.ms += WINDOW_MS + GUARD_MS + PART_MS;
    expect((await step({ want: 9 })).granted).toBe(3);
  });

  it('is full after a refusal whose wait fits it, and frees its own slots in their time', async () => {
    const { step, clock } = await newWindow();
    const { epoch } = await step({ want: 2 });
    await step({ settled: [accepted(epoch)] });
    clock.ms += 300;
    expect(await step({ want: 1, settled: [refused(epoch, 700)] })).toMatchObject({ granted: 0, used: 4, foreign: 3 });
    clock.ms += WINDOW_MS + GUARD_MS + PART_MS - 300;
    expect((await step({ want: 9 })).granted).toBe(1);
  });

  it('stores a bounded number of slots', async () => {
    const { step, clock, fields } = await newWindow();
    for (let request = 0; request < 300; request += 1) {
      clock.ms += 7;
      const { epoch, granted } = await step({ want: 1 });
      if (granted > 0) await step({ settled: [accepted(epoch)] });
    }
    expect((await fields())['slots']?.split(',').length).toBeLessThan(256 * 2);
  });

  it('moves the slots when the window is configured longer', async () => {
    const { step } = await newWindow();
    const { epoch } = await step({ want: 4 });
    await step({ settled: [accepted(epoch, 4)] });
    const { waitMs } = await step({ policy: { policy: 'sliding-window', limit: LIMIT, windowMs: 2 * WINDOW_MS } });
    expect(waitMs).toBeGreaterThanOrEqual(2 * WINDOW_MS);
  });
});
