import { describe, expect, it } from '@jest/globals';
import { array, assert, integer, property } from 'fast-check';
import { atMoments, instant } from '../test/at-moments.js';
import { TokenBucket, type TokenBucketOptions } from './token-bucket.js';

function newProvider(some: Partial<TokenBucketOptions> = {}) {
  return atMoments(new TokenBucket({ limit: 2, refillPerSecond: 1, name: 'free', sendsHeaders: true, ...some }));
}

describe('TokenBucket, counting', () => {
  it('accepts its capacity at once, then one request per refilled token', () => {
    const { acceptsAt } = newProvider();
    expect([0, 0, 0, 999.999].map(acceptsAt)).toEqual([true, true, false, false]);
    expect([1_000, 1_001, 1_999, 2_000].map(acceptsAt)).toEqual([true, false, false, true]);
  });

  it('keeps the fraction of a token that remains after an accept', () => {
    const { acceptsAt } = newProvider();
    expect([0, 0, 1_700, 1_999, 2_000].map(acceptsAt)).toEqual([true, true, true, false, true]);
  });

  it('never holds more than its capacity', () => {
    const { acceptsAt } = newProvider();
    expect([0, 0, 1_000_000, 1_000_000, 1_000_000].map(acceptsAt)).toEqual([true, true, true, true, false]);
    expect([1_000_999, 1_001_000].map(acceptsAt)).toEqual([false, true]);
  });

  it('refills at the same rate during refusals', () => {
    const { acceptsAt } = newProvider({ limit: 1 });
    expect([0, 100, 500, 999, 1_000].map(acceptsAt)).toEqual([true, false, false, false, true]);
  });

  it('accepts the same requests as a count in whole thousandths of a token', () => {
    const gaps = array(integer({ min: 0, max: 900 }), { maxLength: 100 });
    assert(
      property(integer({ min: 1, max: 5 }), integer({ min: 1, max: 7 }), gaps, (limit, refillPerSecond, gapsMs) => {
        const { acceptsAt } = newProvider({ limit, refillPerSecond });
        let thousandths = limit * 1_000;
        let ms = 0;
        for (const gapMs of gapsMs) {
          ms += gapMs;
          thousandths = Math.min(limit * 1_000, thousandths + gapMs * refillPerSecond);
          const isOpen = thousandths >= 1_000;
          expect(acceptsAt(ms)).toBe(isOpen);
          if (isOpen) thousandths -= 1_000;
        }
      }),
    );
  });

  it('does not drift at a rate that milliseconds cannot represent', () => {
    const { acceptsAt } = newProvider({ limit: 1_000, refillPerSecond: 70_000 });
    for (let request = 0; request < 1_000; request += 1) acceptsAt(0);
    let accepted = 0;
    // 100 requests a millisecond: more than the refill.
    for (let request = 1; request <= 200_000; request += 1) if (acceptsAt(request / 100)) accepted += 1;
    expect(accepted).toBe(140_000);
  });

  it.each([0.001, 0.3, 1, 3, 700, 100_000])(
    'refuses with the exact time until the next token, at %d tokens a second',
    (rate) => {
      const refuse = () => {
        const provider = newProvider({ limit: 1, refillPerSecond: rate });
        provider.at(0);
        const decision = provider.at(0.003);
        return { ...provider, retryAfterMs: decision.accepted ? 0 : decision.retryAfterMs };
      };
      const { retryAfterMs, acceptsAt } = refuse();
      expect(retryAfterMs).toBeCloseTo(1_000 / rate - 0.003, 2);
      // In 2026 the resolution of a clock in milliseconds is 2 ** -12.
      expect(acceptsAt(0.003 + retryAfterMs - 2 ** -11)).toBe(false);
      expect(refuse().acceptsAt(0.003 + retryAfterMs)).toBe(true);
    },
  );
});

describe('TokenBucket, headers', () => {
  it('announce whole tokens and, at 0, when the next one comes', () => {
    const { at, rateLimitAt } = newProvider({ refillPerSecond: 0.1 });
    expect(rateLimitAt(0)).toBe('"free";r=2');
    at(0);
    expect(rateLimitAt(0)).toBe('"free";r=1');
    at(5_000);
    expect(rateLimitAt(5_000)).toBe('"free";r=0;t=5');
    expect(rateLimitAt(9_999)).toBe('"free";r=0;t=1');
    expect(rateLimitAt(10_000)).toBe('"free";r=1');
    expect(rateLimitAt(19_999)).toBe('"free";r=1');
    expect(rateLimitAt(20_000)).toBe('"free";r=2');
  });

  it('announce the time to fill an empty bucket in seconds, rounded up', () => {
    const { headersAt } = newProvider({ limit: 5, refillPerSecond: 2 });
    expect(headersAt(0)['ratelimit-policy']).toBe('"free";q=5;w=3');
  });

  it('are absent when switched off', () => {
    expect(newProvider({ sendsHeaders: false }).headersAt(0)).toEqual({});
  });
});

describe('TokenBucket, stats', () => {
  it('list a blocked window for each time when the bucket was empty', () => {
    const { at, admission } = newProvider();
    for (const ms of [0, 400, 500, 1_000, 1_100, 5_000]) at(ms);
    expect(admission.stats()).toEqual({
      accepted: 4,
      refused: 2,
      windows: [
        { startedAt: instant(0), blockedAt: instant(400), reopensAt: instant(1_000), accepted: 2, refused: 1 },
        { startedAt: instant(1_000), blockedAt: instant(1_000), reopensAt: instant(2_000), accepted: 1, refused: 1 },
        { startedAt: instant(5_000), blockedAt: null, reopensAt: null, accepted: 1, refused: 0 },
      ],
    });
  });

  it('restart on reset while the bucket stays as it is', () => {
    const { at, acceptsAt, admission } = newProvider();
    at(0);
    admission.resetStats();
    expect([500, 501].map(acceptsAt)).toEqual([true, false]);
    expect(admission.stats()).toEqual({
      accepted: 1,
      refused: 1,
      windows: [{ startedAt: instant(0), blockedAt: instant(500), reopensAt: instant(1_000), accepted: 1, refused: 1 }],
    });
  });
});
