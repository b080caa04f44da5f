import { describe, expect, it } from '@jest/globals';
import { nextRetry, RETRY_DELAYS_MS } from './retry-policy.js';

const step = (result: Parameters<typeof nextRetry>[0], { tries = 1, random = 0 } = {}) =>
  nextRetry(result, { tries, random, delaysMs: [1_000, 60_000] });

describe('nextRetry', () => {
  it.each([200, 202, 204, 299])('takes %d for delivered', (status) => {
    expect(step({ status })).toEqual({ step: 'delivered' });
    expect(step({ status }, { tries: 3 })).toEqual({ step: 'delivered' });
  });

  it('gives up at once when the receiver is gone', () => {
    expect(step({ status: 410 })).toEqual({ step: 'given up' });
  });

  it.each([{ status: 301 }, { status: 404 }, { status: 429 }, { status: 500 }, { error: 'ECONNREFUSED' }])(
    'tries again after %j, later each time, then gives up',
    (result) => {
      expect([1, 2, 3].map((tries) => step(result, { tries }))).toEqual([
        { step: 'retry', delayMs: 1_000 },
        { step: 'retry', delayMs: 60_000 },
        { step: 'given up' },
      ]);
    },
  );

  it('lengthens a wait by up to a fifth', () => {
    expect(step({ status: 500 }, { random: 0.5 })).toEqual({ step: 'retry', delayMs: 1_100 });
    expect(step({ status: 500 }, { random: 1 })).toEqual({ step: 'retry', delayMs: 1_200 });
  });

  it('has waits that begin with 5 seconds, grow, and last three days', () => {
    expect(RETRY_DELAYS_MS[0]).toBe(5_000);
    expect(RETRY_DELAYS_MS).toEqual(RETRY_DELAYS_MS.toSorted((one, other) => one - other));
    const days = RETRY_DELAYS_MS.reduce((sum, ms) => sum + ms, 0) / 86_400_000;
    expect(days).toBeGreaterThan(3);
    expect(days).toBeLessThan(4);
  });
});
