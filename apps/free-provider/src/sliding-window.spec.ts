import { describe, expect, it } from '@jest/globals';
import { array, assert, integer, property } from 'fast-check';
import { atMoments, instant } from '../test/at-moments.js';
import { SlidingWindow, type SlidingWindowOptions } from './sliding-window.js';

function newProvider(some: Partial<SlidingWindowOptions> = {}) {
  return atMoments(new SlidingWindow({ limit: 2, windowMs: 1_000, name: 'free', sendsHeaders: true, ...some }));
}

describe('SlidingWindow, counting', () => {
  it('gives each slot back exactly one window after it was taken', () => {
    const { acceptsAt } = newProvider();
    expect([0, 400, 500, 999.999].map(acceptsAt)).toEqual([true, true, false, false]);
    expect([1_000, 1_001, 1_399, 1_400, 1_401].map(acceptsAt)).toEqual([true, false, false, true, false]);
  });

  it('does not count refusals', () => {
    const { acceptsAt } = newProvider({ limit: 1 });
    expect([0, 900, 999, 1_000].map(acceptsAt)).toEqual([true, false, false, true]);
  });

  it('accepts the same requests as a plain count over the last window', () => {
    const gaps = array(integer({ min: 0, max: 600 }), { maxLength: 100 });
    assert(
      property(integer({ min: 1, max: 5 }), gaps, (limit, gapsMs) => {
        const { acceptsAt } = newProvider({ limit });
        const acceptedMs: number[] = [];
        let ms = 0;
        for (const gapMs of gapsMs) {
          ms += gapMs;
          const isOpen = acceptedMs.filter((earlierMs) => earlierMs > ms - 1_000).length < limit;
          expect(acceptsAt(ms)).toBe(isOpen);
          if (isOpen) acceptedMs.push(ms);
        }
      }),
    );
  });

  it('refuses with the time until the oldest slot is free again', () => {
    const { at } = newProvider();
    for (const ms of [0, 400]) at(ms);
    expect(at(600)).toEqual({ accepted: false, retryAfterMs: 400 });
    expect(at(1_000)).toEqual({ accepted: true });
    expect(at(1_100)).toEqual({ accepted: false, retryAfterMs: 300 });
  });
});

describe('SlidingWindow, headers', () => {
  it('announce what remains and, at 0, when the next slot is free', () => {
    const { at, rateLimitAt } = newProvider({ windowMs: 30_000 });
    expect(rateLimitAt(0)).toBe('"free";r=2');
    at(0);
    expect(rateLimitAt(0)).toBe('"free";r=1');
    at(10_000);
    expect(rateLimitAt(10_000)).toBe('"free";r=0;t=20');
    expect(rateLimitAt(29_999)).toBe('"free";r=0;t=1');
    expect(rateLimitAt(30_000)).toBe('"free";r=1');
    expect(rateLimitAt(40_000)).toBe('"free";r=2');
  });

  it('announce the policy in seconds, rounded up', () => {
    expect(newProvider({ windowMs: 1_500 }).headersAt(0)['ratelimit-policy']).toBe('"free";q=2;w=2');
  });

  it('are absent when switched off', () => {
    expect(newProvider({ sendsHeaders: false }).headersAt(0)).toEqual({});
  });
});

describe('SlidingWindow, stats', () => {
  it('list a blocked window for each time when no slot was free', () => {
    const { at, admission } = newProvider();
    for (const ms of [0, 400, 500, 1_000, 1_100, 5_000]) at(ms);
    expect(admission.stats()).toEqual({
      accepted: 4,
      refused: 2,
      windows: [
        { startedAt: instant(0), blockedAt: instant(400), reopensAt: instant(1_000), accepted: 2, refused: 1 },
        { startedAt: instant(1_000), blockedAt: instant(1_000), reopensAt: instant(1_400), accepted: 1, refused: 1 },
        { startedAt: instant(5_000), blockedAt: null, reopensAt: null, accepted: 1, refused: 0 },
      ],
    });
  });

  it('restart on reset while the window continues', () => {
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
