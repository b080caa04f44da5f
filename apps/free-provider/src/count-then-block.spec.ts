import { describe, expect, it } from '@jest/globals';
import { providerStatsSchema } from '#contracts';
import { atMoments, instant } from '../test/at-moments.js';
import { CountThenBlock, type CountThenBlockOptions } from './count-then-block.js';

function newProvider(some: Partial<CountThenBlockOptions> = {}) {
  const options: CountThenBlockOptions = {
    limit: 3,
    blockMs: 1_000,
    startsAt: 'last-accept',
    name: 'free',
    sendsHeaders: true,
    ...some,
  };
  const provider = atMoments(new CountThenBlock(options));
  return {
    ...provider,
    fillAt: (ms: number) => Array.from({ length: options.limit }, () => provider.acceptsAt(ms)).every(Boolean),
  };
}

describe('CountThenBlock, counting', () => {
  it('accepts exactly the limit, then refuses', () => {
    const { acceptsAt } = newProvider({ limit: 3 });
    expect([0, 0, 0, 0, 0].map(acceptsAt)).toEqual([true, true, true, false, false]);
  });

  it('blocks at once when the limit is 1', () => {
    const { acceptsAt } = newProvider({ limit: 1 });
    expect([0, 0].map(acceptsAt)).toEqual([true, false]);
  });

  it('never ends a window by time alone', () => {
    const { acceptsAt } = newProvider({ limit: 3, blockMs: 1_000 });
    expect([0, 1_000_000, 2_000_000, 2_000_001].map(acceptsAt)).toEqual([true, true, true, false]);
  });

  it('counts the block from the last accept, not from the first or from a refusal', () => {
    const { acceptsAt } = newProvider({ limit: 2, blockMs: 1_000 });
    expect([0, 900, 1_500, 1_899, 1_900].map(acceptsAt)).toEqual([true, true, false, false, true]);
  });

  it('refuses until the last moment of the block and accepts at its end', () => {
    const { fillAt, acceptsAt } = newProvider({ blockMs: 1_000 });
    fillAt(0);
    expect(acceptsAt(999.999)).toBe(false);
    expect(acceptsAt(1_000)).toBe(true);
  });

  it('accepts the whole limit again in the next window and no more', () => {
    const { fillAt, acceptsAt } = newProvider({ blockMs: 1_000 });
    fillAt(0);
    expect(fillAt(5_000)).toBe(true);
    expect(acceptsAt(5_999)).toBe(false);
    expect(acceptsAt(6_000)).toBe(true);
  });

  it('refuses with the rest of the block', () => {
    const { fillAt, at } = newProvider({ blockMs: 1_000 });
    fillAt(0);
    expect(at(250)).toEqual({ accepted: false, retryAfterMs: 750 });
  });
});

describe('CountThenBlock, a block that starts with the first refusal', () => {
  const startsAt = 'first-refusal';

  it('does not start before a request exceeds the limit', () => {
    const { acceptsAt } = newProvider({ startsAt, limit: 2, blockMs: 1_000 });
    expect([0, 10, 5_000, 5_999.999].map(acceptsAt)).toEqual([true, true, false, false]);
    expect([6_000, 6_001, 6_002].map(acceptsAt)).toEqual([true, true, false]);
  });

  it('is announced in full to the request that starts it, and its rest to later ones', () => {
    const { fillAt, at } = newProvider({ startsAt, blockMs: 1_000 });
    fillAt(0);
    expect(at(5_000)).toEqual({ accepted: false, retryAfterMs: 1_000 });
    expect(at(5_250)).toEqual({ accepted: false, retryAfterMs: 750 });
  });

  it('has no end in the headers until it has started', () => {
    const { at, rateLimitAt } = newProvider({ startsAt, limit: 1, blockMs: 30_000 });
    at(0);
    expect(rateLimitAt(0)).toBe('"free";r=0');
    at(5_000);
    expect(rateLimitAt(6_000)).toBe('"free";r=0;t=29');
    expect(rateLimitAt(35_000)).toBe('"free";r=1');
  });

  it('is in the stats from the refusal on, which counts to it', () => {
    const { at, admission } = newProvider({ startsAt, limit: 1, blockMs: 1_000 });
    for (const ms of [0, 400, 500, 2_000]) at(ms);
    expect(admission.stats().windows).toEqual([
      { startedAt: instant(0), blockedAt: instant(400), reopensAt: instant(1_400), accepted: 1, refused: 2 },
      { startedAt: instant(2_000), blockedAt: null, reopensAt: null, accepted: 1, refused: 0 },
    ]);
  });
});

describe('CountThenBlock, headers', () => {
  it('announce what remains and, at 0, when the quota reopens', () => {
    const { at, headersAt } = newProvider({ limit: 2, blockMs: 30_000 });
    const seen = [headersAt(0)];
    for (const ms of [0, 10, 1_000]) {
      at(ms);
      seen.push(headersAt(ms));
    }
    expect(seen.map((headers) => headers['ratelimit'])).toEqual([
      '"free";r=2',
      '"free";r=1',
      '"free";r=0;t=30',
      '"free";r=0;t=30', // 29 010 ms, rounded up
    ]);
    expect(new Set(seen.map((headers) => headers['ratelimit-policy']))).toEqual(new Set(['"free";q=2;w=30']));
  });

  it('round seconds up, to at least 1', () => {
    const { fillAt, headersAt } = newProvider({ blockMs: 10 });
    fillAt(0);
    expect(headersAt(9.5)).toEqual({ 'ratelimit-policy': '"free";q=3;w=1', ratelimit: '"free";r=0;t=1' });
  });

  it('announce a fresh window from the end of the block on', () => {
    const { fillAt, headersAt } = newProvider({ blockMs: 1_000 });
    fillAt(0);
    expect(headersAt(999)['ratelimit']).toBe('"free";r=0;t=1');
    expect(headersAt(1_000)['ratelimit']).toBe('"free";r=3');
  });

  it('are absent when switched off', () => {
    const { at, headersAt } = newProvider({ sendsHeaders: false });
    at(0);
    expect(headersAt(0)).toEqual({});
  });
});

describe('CountThenBlock, stats', () => {
  it('are empty before the first request', () => {
    expect(newProvider().admission.stats()).toEqual({ accepted: 0, refused: 0, windows: [] });
  });

  it('list each window from its first accept, and count a refusal to the blocked window', () => {
    const { at, admission } = newProvider({ limit: 2, blockMs: 1_000 });
    for (const ms of [0, 100, 101, 1_099, 3_000]) at(ms);
    expect(providerStatsSchema.parse(admission.stats())).toEqual({
      accepted: 3,
      refused: 2,
      windows: [
        { startedAt: instant(0), blockedAt: instant(100), reopensAt: instant(1_100), accepted: 2, refused: 2 },
        { startedAt: instant(3_000), blockedAt: null, reopensAt: null, accepted: 1, refused: 0 },
      ],
    });
  });

  it('keep the latest 10 000 windows while the totals count all', () => {
    const { at, admission } = newProvider({ limit: 1, blockMs: 1_000 });
    for (let window = 0; window < 10_003; window += 1) at(window * 1_000);
    const { accepted, windows } = admission.stats();
    expect(accepted).toBe(10_003);
    expect(windows).toHaveLength(10_000);
    expect(windows.map(({ startedAt }) => startedAt)).toEqual(
      Array.from({ length: 10_000 }, (_, window) => instant((window + 3) * 1_000)),
    );
  });

  it('restart on reset while the quota continues', () => {
    const { fillAt, at, acceptsAt, admission } = newProvider({ limit: 3, blockMs: 1_000 });
    fillAt(0);
    for (const ms of [1_000, 1_010]) at(ms);
    admission.resetStats();
    expect(admission.stats()).toEqual({ accepted: 0, refused: 0, windows: [] });
    expect([1_020, 1_030].map(acceptsAt)).toEqual([true, false]);
    const [startedAt, blockedAt, reopensAt] = [1_000, 1_020, 2_020].map(instant);
    expect(admission.stats()).toEqual({
      accepted: 1,
      refused: 1,
      windows: [{ startedAt, blockedAt, reopensAt, accepted: 1, refused: 1 }],
    });
  });

  it('omit a window without a request since the reset', () => {
    const { fillAt, at, admission } = newProvider({ blockMs: 1_000 });
    fillAt(0);
    admission.resetStats();
    at(1_000);
    expect(admission.stats().windows.map(({ startedAt }) => startedAt)).toEqual([instant(1_000)]);
  });
});
