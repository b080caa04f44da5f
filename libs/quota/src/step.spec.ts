import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { Redis } from 'ioredis';
import type { Settlement } from './permit.js';
import { guardMs } from './policy.js';
import { QuotaStore, type StepReply } from './quota-store.js';
import { SettlementBatch } from './settlement-batch.js';

const LIMIT = 3;
const BLOCK_MS = 1_000;
const HOLD_MS = 500;
const REOPENS_AFTER_MS = BLOCK_MS + guardMs(BLOCK_MS);

interface StepOptions {
  pod?: string;
  seq?: number;
  want?: number;
  settled?: { epoch: number; generation?: number; settlement: Settlement; ageMs?: number; count?: number }[];
  knownEpoch?: number;
  whenForgotten?: 'blocked' | 'fresh';
  limit?: number;
}

describe('step.lua', () => {
  let redis: Redis;
  beforeAll(() => {
    redis = new Redis(process.env['TEST_REDIS_URL'] ?? '', { lazyConnect: false });
  });
  afterAll(() => redis.quit());

  /** A provider of its own, under a clock the test sets; steps are numbered by pod. */
  async function newProvider(startsAtMs = 1_000_000) {
    const provider = `step-${randomBytes(6).toString('hex')}`;
    const store = new QuotaStore(redis);
    await store.provision(provider);
    const seqs = new Map<string, number>();
    const clock = { ms: startsAtMs };
    const step = ({ pod = 'a', seq, want = 0, settled = [], ...options }: StepOptions = {}): Promise<StepReply> => {
      const number = seq ?? (seqs.get(pod) ?? 0) + 1;
      seqs.set(pod, number);
      const settlements = new SettlementBatch();
      for (const { epoch, generation = 0, settlement, ageMs = 0, count = 1 } of settled) {
        const permit = { epoch, generation };
        for (let i = 0; i < count; i += 1) settlements.add({ permit, settlement, nowMs: 10_000 - ageMs });
      }
      return store.step({
        provider,
        policy: {
          policy: 'count-then-block',
          limit: options.limit ?? LIMIT,
          blockMs: BLOCK_MS,
          startsAt: 'last-accept',
        },
        podId: pod,
        seq: number,
        want,
        holdMs: HOLD_MS,
        whenForgotten: options.whenForgotten ?? 'blocked',
        knownEpoch: options.knownEpoch ?? 0,
        settlements,
        nowMs: 10_000,
        serverClockMs: clock.ms,
      });
    };
    const accepted = (epoch: number, count = 1) => ({ epoch, settlement: { outcome: 'accepted' } as const, count });
    const fields = () => redis.hgetall(`{quota:${provider}}`);
    return { provider, clock, step, accepted, fields };
  }

  it('grants no more than the limit, however many are wanted', async () => {
    const { step } = await newProvider();
    expect(await step({ want: 10 })).toMatchObject({ granted: 3, state: 'spent', used: 3, limit: 3 });
    expect(await step({ pod: 'b', want: 1 })).toMatchObject({ granted: 0, state: 'spent' });
  });

  it('writes nothing when it refuses', async () => {
    const { step, fields } = await newProvider();
    await step({ want: 3 });
    const before = await fields();
    await step({ pod: 'b', want: 5 });
    expect(await fields()).toEqual(before);
  });

  it('blocks from the last accepted answer for the whole block and a guard, then opens a new epoch', async () => {
    const { step, accepted, clock } = await newProvider();
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
    const { step, accepted } = await newProvider();
    const { epoch } = await step({ want: 3 });
    expect(await step({ settled: [accepted(epoch, 2)] })).toMatchObject({ state: 'spent' });
    expect(await step({ settled: [accepted(epoch)] })).toMatchObject({ state: 'blocked' });
  });

  it('gives a slot that was not used back to the same epoch', async () => {
    const { step } = await newProvider();
    const { epoch } = await step({ want: 3 });
    expect(await step({ want: 2, settled: [{ epoch, settlement: { outcome: 'notSent' } }] })).toMatchObject({
      granted: 1,
      epoch,
      used: 3,
    });
  });

  it('ignores a settlement of an older epoch', async () => {
    const { step, accepted, clock } = await newProvider();
    const { epoch } = await step({ want: 3 });
    await step({ settled: [accepted(epoch, 3)] });
    clock.ms += REOPENS_AFTER_MS;
    await step({ want: 3 });
    expect(
      await step({ pod: 'b', want: 3, settled: [{ epoch, settlement: { outcome: 'notSent' }, count: 3 }] }),
    ).toMatchObject({ granted: 0, used: 3 });
  });

  it('gives the same permits to the same step sent twice, and counts them once', async () => {
    const { step, accepted } = await newProvider();
    const { epoch } = await step({ want: 2 });
    await step({ seq: 2, want: 1, settled: [accepted(epoch)] });
    expect(await step({ seq: 2, want: 1, settled: [accepted(epoch)] })).toMatchObject({ granted: 1, used: 3 });
    expect(await step({ settled: [accepted(epoch)] })).toMatchObject({ state: 'spent' });
  });

  it('grants nothing for a step older than the last one', async () => {
    const { step } = await newProvider();
    await step({ want: 1 });
    await step({ want: 1 });
    expect(await step({ seq: 1, want: 1 })).toMatchObject({ granted: 0, used: 2 });
  });

  it('counts permits of a dead pod as unknown once they have run out, and blocks from then', async () => {
    const { step, accepted, clock } = await newProvider();
    const { epoch } = await step({ pod: 'dead', want: 1 });
    await step({ want: 2 });
    await step({ settled: [accepted(epoch, 2)] });
    clock.ms += HOLD_MS - 1;
    expect(await step({ want: 1 })).toMatchObject({ state: 'spent' });
    clock.ms += 1;
    expect(await step({ want: 1 })).toMatchObject({ granted: 0, state: 'blocked', waitMs: REOPENS_AFTER_MS });
  });

  it('tells a permit that was given up from one in flight when its settlement comes after all', async () => {
    const { step, accepted, clock, fields } = await newProvider();
    const { epoch } = await step({ pod: 'late', want: 1 });
    clock.ms += HOLD_MS;
    expect(await step({ want: 2 })).toMatchObject({ granted: 2, generation: 1 });
    // Two are in flight still: their window must not be closed before they are answered.
    expect(await step({ pod: 'late', settled: [accepted(epoch)] })).toMatchObject({ state: 'spent' });
    expect(await fields()).toMatchObject({ accepted: '1', unknown: '0', granted: '3' });
    const answers = { ...accepted(epoch, 2), generation: 1 };
    expect(await step({ settled: [answers] })).toMatchObject({ state: 'blocked' });
  });

  it('gives the slot of a permit that was given up back when it was never sent', async () => {
    const { step, clock } = await newProvider();
    const { epoch } = await step({ pod: 'late', want: 1 });
    clock.ms += HOLD_MS;
    await step({ want: 2 });
    expect(
      await step({ pod: 'late', want: 1, settled: [{ epoch, settlement: { outcome: 'notSent' } }] }),
    ).toMatchObject({ granted: 1, used: 3 });
  });

  it('sends one at a time after an epoch with unknowns, until the window has proved new', async () => {
    const { step, accepted, clock } = await newProvider();
    const { epoch } = await step({ want: 3 });
    await step({ settled: [accepted(epoch, 2), { epoch, settlement: { outcome: 'unknown' } }] });
    clock.ms += REOPENS_AFTER_MS;
    expect(await step({ want: 3 })).toMatchObject({ granted: 1, state: 'spent' });
    expect(await step({ want: 3 })).toMatchObject({ granted: 0 });
    expect(await step({ want: 3, settled: [accepted(epoch + 1)] })).toMatchObject({ granted: 1 });
    expect(await step({ want: 3, settled: [accepted(epoch + 1)] })).toMatchObject({ granted: 1, used: 3 });
  });

  it('does not trust the next window when a permit comes back unsent while blocked: the provider may have one left', async () => {
    const { step, accepted, clock } = await newProvider();
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
    const { step, accepted, clock } = await newProvider();
    const { epoch } = await step({ want: 2 });
    const refused = { epoch, settlement: { outcome: 'refused', retryAfterMs: 5_000 } as const };
    expect(await step({ want: 1, settled: [accepted(epoch), refused] })).toMatchObject({
      granted: 0,
      state: 'blocked',
      waitMs: 5_003,
      event: 'blocked',
    });
    clock.ms += 5_003;
    expect(await step({ want: 3 })).toMatchObject({ granted: 3, epoch: epoch + 1 });
  });

  it('does not turn while requests of a refused window are on their way: they would arrive in the next', async () => {
    const { step, accepted, clock } = await newProvider();
    const { epoch } = await step({ want: 3 });
    await step({ settled: [{ epoch, settlement: { outcome: 'refused', retryAfterMs: 100 } }] });
    clock.ms += 200;
    expect(await step({ want: 3 })).toMatchObject({ granted: 0, state: 'blocked', epoch });
    expect(await step({ want: 3, settled: [accepted(epoch, 2)] })).toMatchObject({ granted: 3, epoch: epoch + 1 });
  });

  it('opens again although a forgotten pod told the same settlement twice', async () => {
    const { step, accepted, clock } = await newProvider();
    const { epoch } = await step({ want: 3 });
    await step({ settled: [accepted(epoch, 2)] });
    await step({ pod: 'under another name', settled: [accepted(epoch, 2)] });
    expect(await step({ settled: [accepted(epoch)] })).toMatchObject({ state: 'blocked' });
    clock.ms += REOPENS_AFTER_MS;
    expect(await step({ want: 3 })).toMatchObject({ granted: 3 });
  });

  it('counts the block from an answer that comes after its permit was given up', async () => {
    const { step, accepted, clock } = await newProvider();
    const { epoch } = await step({ pod: 'slow', want: 1 });
    await step({ want: 2 });
    await step({ settled: [accepted(epoch, 2)] });
    clock.ms += HOLD_MS;
    await step();
    clock.ms += 100;
    expect(await step({ pod: 'slow', settled: [accepted(epoch)] })).toMatchObject({ waitMs: REOPENS_AFTER_MS });
  });

  it('believes no provider that asks for more than a week', async () => {
    const { step } = await newProvider();
    const { epoch } = await step({ want: 1 });
    const refused = { epoch, settlement: { outcome: 'refused', retryAfterMs: 1e12 } as const };
    expect((await step({ settled: [refused] })).waitMs).toBeLessThan(8 * 86_400_000);
  });

  it('never shortens a block', async () => {
    const { step } = await newProvider();
    const { epoch } = await step({ want: 2 });
    const refused = (retryAfterMs: number) => ({ epoch, settlement: { outcome: 'refused', retryAfterMs } as const });
    await step({ settled: [refused(5_000)] });
    expect(await step({ settled: [refused(1_000)] })).toMatchObject({ state: 'blocked', waitMs: 5_003 });
  });

  it('takes a missing count for forgotten, not for new', async () => {
    const { provider, step, clock } = await newProvider();
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
    const { provider, step, clock } = await newProvider();
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
    const { step } = await newProvider();
    expect(await step({ want: 1, knownEpoch: 9 })).toMatchObject({ granted: 0, state: 'blocked', epoch: 1_000_000 });
  });

  it('keeps the count when the limit changes', async () => {
    const { step } = await newProvider();
    await step({ want: 3 });
    expect(await step({ want: 9, limit: 5 })).toMatchObject({ granted: 2, used: 5, limit: 5 });
    expect(await step({ want: 9, limit: 2 })).toMatchObject({ granted: 0, used: 5, state: 'spent' });
  });

  it('never lets the clock run backwards', async () => {
    const { step, accepted, clock } = await newProvider();
    const { epoch } = await step({ want: 3 });
    clock.ms += 100;
    await step({ settled: [accepted(epoch, 3)] });
    clock.ms -= 50_000;
    expect(await step({ want: 1 })).toMatchObject({ state: 'blocked', waitMs: REOPENS_AFTER_MS });
  });

  it('forgets pods that have been silent for ten minutes', async () => {
    const { step, clock, fields } = await newProvider();
    await step({ pod: 'gone', want: 1 });
    clock.ms += 600_001;
    await step({ pod: 'new', want: 1 });
    expect(Object.keys(await fields()).filter((field) => field.startsWith('pod:'))).toEqual(['pod:new']);
  });

  it('never expires: the hash has no time to live', async () => {
    const { provider, step } = await newProvider();
    await step({ want: 1 });
    expect(await redis.ttl(`{quota:${provider}}`)).toBe(-1);
  });
});
