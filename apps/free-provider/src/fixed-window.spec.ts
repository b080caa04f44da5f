import { describe, expect, it } from '@jest/globals';
import { atMoments, instant } from '../test/at-moments.js';
import { FixedWindow, type FixedWindowOptions } from './fixed-window.js';

function newProvider(some: Partial<FixedWindowOptions> = {}) {
  const options: FixedWindowOptions = {
    limit: 2,
    windowMs: 1_000,
    anchor: 'first-accept',
    name: 'free',
    sendsHeaders: true,
    ...some,
  };
  return atMoments(new FixedWindow(options));
}

describe('FixedWindow from the first accept', () => {
  it('accepts exactly the limit, and again from the end of the window on', () => {
    const { acceptsAt } = newProvider();
    expect([300, 900, 901, 1_299.999].map(acceptsAt)).toEqual([true, true, false, false]);
    expect([1_300, 1_301, 1_302].map(acceptsAt)).toEqual([true, true, false]);
  });

  it('starts the next window with the next accept, however late', () => {
    const { acceptsAt } = newProvider({ limit: 1 });
    expect([0, 5_700, 6_699, 6_700].map(acceptsAt)).toEqual([true, true, false, true]);
  });

  it('does not carry unused quota over', () => {
    const { acceptsAt } = newProvider();
    expect([0, 1_000, 1_001, 1_002].map(acceptsAt)).toEqual([true, true, true, false]);
  });
});

describe('FixedWindow by the clock', () => {
  it('starts windows at whole multiples of their length since 1970', () => {
    const { acceptsAt } = newProvider({ anchor: 'clock', limit: 1 });
    expect([900, 999.9, 1_000, 1_999.9, 2_000].map(acceptsAt)).toEqual([true, false, true, false, true]);
  });

  it('has exact boundaries when its length does not divide a minute', () => {
    const windowMs = 7_001;
    const admission = new FixedWindow({ limit: 1, windowMs, anchor: 'clock', name: 'free', sendsHeaders: true });
    const startMs = 250_000_000 * windowMs;
    const accepts = [0, windowMs - 0.001, windowMs].map((ms) => admission.decide(startMs + ms).accepted);
    expect(accepts).toEqual([true, false, true]);
  });
});

describe.each(['first-accept', 'clock'] as const)('FixedWindow from %s', (anchor) => {
  it('refuses with the rest of the window', () => {
    const { at } = newProvider({ anchor, limit: 1 });
    at(0);
    expect(at(999.5)).toEqual({ accepted: false, retryAfterMs: 0.5 });
  });
});

describe('FixedWindow, headers', () => {
  it('announce what remains and, while a window is open, its end', () => {
    const { at, rateLimitAt } = newProvider({ windowMs: 30_000 });
    expect(rateLimitAt(0)).toBe('"free";r=2');
    at(0);
    expect(rateLimitAt(0)).toBe('"free";r=1;t=30');
    at(1);
    expect(rateLimitAt(1_000.5)).toBe('"free";r=0;t=29');
    expect(rateLimitAt(29_999)).toBe('"free";r=0;t=1');
    expect(rateLimitAt(30_000)).toBe('"free";r=2');
  });

  it('announce the end of an unused window that the clock started', () => {
    const { at, rateLimitAt } = newProvider({ anchor: 'clock', windowMs: 30_000 });
    expect(rateLimitAt(5_000)).toBe('"free";r=2;t=25');
    at(5_000);
    expect(rateLimitAt(5_000)).toBe('"free";r=1;t=25');
    expect(rateLimitAt(30_000)).toBe('"free";r=2;t=30');
  });

  it('announce the policy in seconds, rounded up', () => {
    expect(newProvider({ windowMs: 1_500 }).headersAt(0)['ratelimit-policy']).toBe('"free";q=2;w=2');
  });

  it('are absent when switched off', () => {
    expect(newProvider({ sendsHeaders: false }).headersAt(0)).toEqual({});
  });
});

describe('FixedWindow, stats', () => {
  it('list each window from its first accept, blocked from its last accept to its end', () => {
    const { at, admission } = newProvider({ anchor: 'clock' });
    for (const ms of [100, 200, 300, 999, 1_500, 3_000, 3_001]) at(ms);
    expect(admission.stats()).toEqual({
      accepted: 5,
      refused: 2,
      windows: [
        { startedAt: instant(100), blockedAt: instant(200), reopensAt: instant(1_000), accepted: 2, refused: 2 },
        { startedAt: instant(1_500), blockedAt: null, reopensAt: null, accepted: 1, refused: 0 },
        { startedAt: instant(3_000), blockedAt: instant(3_001), reopensAt: instant(4_000), accepted: 2, refused: 0 },
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
