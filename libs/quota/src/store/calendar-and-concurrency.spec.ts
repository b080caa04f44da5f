import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { accepted, HOLD_MS, newProvider, notSent, refused, unknown } from '../../test/step-harness.js';
import { type Calendar, windowStartsMs } from '../calendar.js';
import type { LimitedPolicy } from '../policy.js';

let redis: Redis;
beforeAll(() => {
  redis = new Redis(process.env['TEST_REDIS_URL'] ?? '');
});
afterAll(() => redis.quit());

const SKEW_MS = 50;
const CALENDAR: Calendar = { every: 'day', timeZone: 'America/Los_Angeles', offsetMs: 0 };
const DAY: LimitedPolicy = { policy: 'fixed-window', limit: 4, ...CALENDAR, clockSkewMs: SKEW_MS };

/** Local midnight at the end of the day on which the clock goes forward: it has 23 hours. */
const MIDNIGHT_MS = Date.parse('2026-03-09T07:00:00Z');
const startsAt = (ms: number): number[] => windowStartsMs(CALENDAR, ms, HOLD_MS);

describe('a calendar window', () => {
  const newDay = (atMs: number) => newProvider(redis, DAY, atMs);

  it('gives all slots back at local midnight, 23 hours after the last one, and none before', async () => {
    const { step, clock } = await newDay(MIDNIGHT_MS - 22 * 3_600_000);
    const { epoch } = await step({ want: 4, windowStartsMs: startsAt(clock.ms) });
    clock.ms += 20;
    await step({ settled: [accepted(epoch, 4)], windowStartsMs: startsAt(clock.ms) });
    clock.ms = MIDNIGHT_MS + SKEW_MS - 1;
    expect(await step({ want: 4, windowStartsMs: startsAt(clock.ms) })).toMatchObject({
      granted: 0,
      state: 'blocked',
      waitMs: 1,
    });
    clock.ms += 1;
    expect(await step({ want: 9, windowStartsMs: startsAt(clock.ms) })).toMatchObject({ granted: 4, epoch: epoch + 1 });
  });

  it('follows the clock of Redis when a pod computes the windows of another day, and tells the pod the time', async () => {
    const { step, clock } = await newDay(MIDNIGHT_MS - 3_600_000);
    const wrong = startsAt(clock.ms - 5 * 86_400_000);
    expect(await step({ want: 4, windowStartsMs: wrong })).toMatchObject({ granted: 0, serverMs: clock.ms });
    expect((await step({ want: 4, windowStartsMs: startsAt(clock.ms) })).granted).toBe(4);
  });

  it('whose count was forgotten is closed until midnight, not for a whole day', async () => {
    const { step, clock, provider } = await newDay(MIDNIGHT_MS - 3_600_000);
    const { epoch } = await step({ want: 3, windowStartsMs: startsAt(clock.ms) });
    await redis.del(`{quota:${provider}}`);
    const forgotten = await step({ want: 1, knownEpoch: epoch, windowStartsMs: startsAt(clock.ms) });
    expect(forgotten).toMatchObject({ granted: 0, event: 'forgotten', waitMs: 3_600_000 + SKEW_MS });
    clock.ms += forgotten.waitMs;
    expect((await step({ want: 9, windowStartsMs: startsAt(clock.ms) })).granted).toBe(4);
  });
});

describe('a concurrency limit', () => {
  const newLimit = () => newProvider(redis, { policy: 'concurrency', limit: 2 });

  it('grants what is not in flight, over all pods, and a slot again with each settlement', async () => {
    const { step } = await newLimit();
    const { granted, epoch } = await step({ want: 9 });
    expect(granted).toBe(2);
    expect(await step({ pod: 'b', want: 1 })).toMatchObject({ granted: 0, state: 'spent', used: 2 });
    expect(await step({ pod: 'b', want: 9, settled: [] })).toMatchObject({ granted: 0 });
    expect((await step({ want: 0, settled: [accepted(epoch)] })).used).toBe(1);
    expect((await step({ pod: 'b', want: 9 })).granted).toBe(1);
    expect((await step({ want: 0, settled: [unknown(epoch)] })).used).toBe(1);
    expect((await step({ pod: 'b', want: 9, settled: [notSent(epoch)] })).granted).toBe(2);
  });

  it('takes the slots of a killed pod back once its permits have expired', async () => {
    const { step, clock } = await newLimit();
    await step({ pod: 'killed', want: 2 });
    clock.ms += HOLD_MS - 1;
    expect((await step({ want: 1 })).granted).toBe(0);
    clock.ms += 1;
    expect((await step({ want: 2 })).granted).toBe(2);
  });

  it('pauses for half a second after a refusal: the provider frees a slot later than its answer arrives', async () => {
    const { step, clock } = await newLimit();
    const { epoch } = await step({ want: 2 });
    const full = await step({ want: 1, settled: [accepted(epoch), refused(epoch)] });
    expect(full).toMatchObject({ granted: 0, state: 'blocked' });
    clock.ms += full.waitMs;
    expect((await step({ want: 2 })).granted).toBe(2);
  });
});
