import { describe, expect, it } from '@jest/globals';
import { type QuotaPolicyInput, quotaPolicySchema } from '#quota';
import { type DescribedProvider, describeProviders } from './describe-providers.js';

const provider = (fields: Partial<DescribedProvider>): DescribedProvider => ({
  key: 'one',
  priceMicros: 0,
  currency: 'EUR',
  quotas: [],
  ...fields,
});

describe('describeProviders', () => {
  it('aligns names and prices', () => {
    const providers = [provider({ key: 'trial' }), provider({ key: 'mine', priceMicros: 2_500 })];
    expect(describeProviders(providers)).toEqual([
      'trial   free of charge   no quota',
      'mine    0.0025 EUR       no quota',
    ]);
  });

  it.each<[QuotaPolicyInput, string]>([
    [{ policy: 'count-then-block', limit: 10, blockMs: 30_000 }, '10 messages, then blocked for 30 s'],
    [{ policy: 'count-then-block', limit: 3, blockMs: 1_500 }, '3 messages, then blocked for 1.5 s'],
    [
      { policy: 'count-then-block', limit: 10, blockMs: 60_000, startsAt: 'first-refusal' },
      '10 messages; the first refusal starts a block of 1 min',
    ],
    [
      { policy: 'fixed-window', limit: 10, windowMs: 86_400_000 },
      '10 messages in each window of 1 d, started by its first message',
    ],
    [
      { policy: 'fixed-window', limit: 10, windowMs: 90_000, anchor: 'clock' },
      '10 messages in each window of 90 s, started by the clock',
    ],
    [
      { policy: 'fixed-window', limit: 10, every: 'day', timeZone: 'Europe/Rome' },
      '10 messages every day, in Europe/Rome',
    ],
    [{ policy: 'concurrency', limit: 2 }, '2 messages at once'],
    [{ policy: 'sliding-window', limit: 10, windowMs: 500 }, '10 messages in any 0.5 s'],
    [{ policy: 'token-bucket', capacity: 10, refillPerSecond: 0.5 }, '10 messages at once, then 0.5 per second'],
  ])('describes the quota %j', (input, described) => {
    const quota = quotaPolicySchema.parse(input);
    if (quota.policy === 'unlimited') throw new Error('has no description');
    const [row] = describeProviders([provider({ quotas: [{ name: undefined, policy: quota, unit: 'requests' }] })]);
    expect(row).toBe(`one   free of charge   ${described}`);
  });
});
