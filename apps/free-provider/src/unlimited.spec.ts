import { describe, expect, it } from '@jest/globals';
import { atMoments, instant } from '../test/at-moments.js';
import { Unlimited } from './unlimited.js';

describe('Unlimited', () => {
  it('accepts everything, in one window that is never blocked', () => {
    const { acceptsAt, admission } = atMoments(new Unlimited());
    expect([0, 0, 1, 1_000_000].every(acceptsAt)).toBe(true);
    expect(admission.stats()).toEqual({
      accepted: 4,
      refused: 0,
      windows: [{ startedAt: instant(0), blockedAt: null, reopensAt: null, accepted: 4, refused: 0 }],
    });
  });

  it('sends no headers', () => {
    expect(atMoments(new Unlimited()).headersAt(0)).toEqual({});
  });

  it('restarts its stats on reset', () => {
    const { at, admission } = atMoments(new Unlimited());
    at(0);
    admission.resetStats();
    expect(admission.stats()).toEqual({ accepted: 0, refused: 0, windows: [] });
  });
});
