import { describe, expect, it } from '@jest/globals';
import { nextStep, RETRY_DELAYS_MS } from './retry-policy.js';

const stepAfter = (result: Parameters<typeof nextStep>[0], { attempts = 1, random = 0 } = {}) =>
  nextStep(result, { attempts, random, delaysMs: [1_000, 60_000] });

describe('nextStep', () => {
  it.each([200, 202, 204, 299])('is delivered after a %d', (status) => {
    expect(stepAfter({ status })).toEqual({ step: 'delivered' });
    expect(stepAfter({ status }, { attempts: 3 })).toEqual({ step: 'delivered' });
  });

  it('is given up after a 410 without a retry', () => {
    expect(stepAfter({ status: 410 })).toEqual({ step: 'given up' });
  });

  it.each([{ status: 301 }, { status: 404 }, { status: 429 }, { status: 500 }, { error: 'ECONNREFUSED' }])(
    'is a retry after %j with growing delays, and given up after the last delay',
    (result) => {
      expect([1, 2, 3].map((attempts) => stepAfter(result, { attempts }))).toEqual([
        { step: 'retry', delayMs: 1_000 },
        { step: 'retry', delayMs: 60_000 },
        { step: 'given up' },
      ]);
    },
  );

  it('extends a delay by up to a fifth', () => {
    expect(stepAfter({ status: 500 }, { random: 0.5 })).toEqual({ step: 'retry', delayMs: 1_100 });
    expect(stepAfter({ status: 500 }, { random: 1 })).toEqual({ step: 'retry', delayMs: 1_200 });
  });
});

describe('RETRY_DELAYS_MS', () => {
  it('starts with 5 seconds, grows, and adds up to more than three days', () => {
    expect(RETRY_DELAYS_MS[0]).toBe(5_000);
    expect(RETRY_DELAYS_MS).toEqual(RETRY_DELAYS_MS.toSorted((one, other) => one - other));
    const days = RETRY_DELAYS_MS.reduce((sum, ms) => sum + ms, 0) / 86_400_000;
    expect(days).toBeGreaterThan(3);
    expect(days).toBeLessThan(4);
  });
});
