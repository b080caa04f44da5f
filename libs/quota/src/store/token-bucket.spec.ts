import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { accepted, newProvider, refused, unknown } from '../../test/step-harness.js';

const CAPACITY = 4;
const TOKEN_MS = 250;

let redis: Redis;
beforeAll(() => {
  redis = new Redis(process.env['TEST_REDIS_URL'] ?? '');
});
afterAll(() => redis.quit());

const newBucket = () =>
  newProvider(redis, { policy: 'token-bucket', capacity: CAPACITY, refillPerSecond: 1_000 / TOKEN_MS });

describe('a token bucket', () => {
  it('grants a full bucket at once, then one token at a time', async () => {
    const { step, clock } = await newBucket();
    const { epoch, granted } = await step({ want: 9 });
    expect(granted).toBe(CAPACITY);
    const { state, waitMs } = await step({ want: 1, settled: [accepted(epoch, CAPACITY)] });
    expect({ state, waitMs }).toEqual({ state: 'blocked', waitMs: TOKEN_MS + 3 });
    clock.ms += waitMs - 1;
    expect((await step({ want: 9 })).granted).toBe(0);
    clock.ms += 1;
    expect((await step({ want: 9 })).granted).toBe(1);
  });

  it('loses no token to slow answers while the bucket is not full', async () => {
    const { step, clock } = await newBucket();
    let { epoch, granted } = await step({ want: CAPACITY });
    let all = granted;
    for (let tick = 0; tick < 400; tick += 1) {
      clock.ms += TOKEN_MS / 10;
      ({ epoch, granted } = await step({ want: 1, settled: granted > 0 ? [accepted(epoch, granted)] : [] }));
      all += granted;
    }
    expect(all).toBe(CAPACITY + 40 - 1);
  });

  it('takes a token for an unknown request', async () => {
    const { step } = await newBucket();
    const { epoch } = await step({ want: 4 });
    expect(await step({ want: 1, settled: [unknown(epoch, 4)] })).toMatchObject({ granted: 0, used: CAPACITY });
  });

  it('is empty after a refusal: the next token is a whole refill time away', async () => {
    const { step, clock } = await newBucket();
    const { epoch } = await step({ want: 1 });
    const { granted, waitMs } = await step({ want: 1, settled: [refused(epoch, 1_000)] });
    expect({ granted, waitMs }).toEqual({ granted: 0, waitMs: TOKEN_MS + 3 });
    clock.ms += waitMs;
    expect((await step({ want: 9 })).granted).toBe(1);
  });

  it('leaves room for tokens that another client took', async () => {
    const { step } = await newBucket();
    const { epoch } = await step({ want: 1 });
    expect(await step({ want: 9, settled: [accepted(epoch, 1, { remaining: 1 })] })).toMatchObject({
      granted: 1,
      foreign: 1,
    });
  });

  it('keeps the number of tokens when the refill is configured faster', async () => {
    const { step } = await newBucket();
    const { epoch } = await step({ want: 4 });
    await step({ settled: [accepted(epoch, 4)] });
    const policy = { policy: 'token-bucket', capacity: CAPACITY, refillPerSecond: 100 } as const;
    expect(await step({ want: 1, policy })).toMatchObject({ granted: 0, used: CAPACITY, waitMs: 13 });
  });
});
