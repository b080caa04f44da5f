import { describe, expect, it } from '@jest/globals';
import { freeProviderSettings } from '../../apps/free-provider/src/free-provider.settings.js';
import { describeFreeQuota } from './describe-free-quota.js';

describe('describeFreeQuota', () => {
  it.each([
    [{}, '10 messages, then blocked for 30 s'],
    [{ FREE_LIMIT: '3', FREE_BLOCK_MS: '1500' }, '3 messages, then blocked for 1.5 s'],
    [{ FREE_STARTS_AT: 'first-refusal' }, '10 messages; the next one is refused and begins a block of 30 s'],
    [{ FREE_POLICY: 'fixed-window' }, '10 messages in each window of 30 s, begun by its first message'],
    [{ FREE_POLICY: 'fixed-window', FREE_ANCHOR: 'clock' }, '10 messages in each window of 30 s, begun by the clock'],
    [{ FREE_POLICY: 'sliding-window', FREE_WINDOW_MS: '500' }, '10 messages in any 0.5 s'],
    [{ FREE_POLICY: 'token-bucket', FREE_REFILL_PER_SECOND: '0.5' }, '10 messages at once, then 0.5 per second'],
    [{ FREE_POLICY: 'unlimited' }, 'accepts everything'],
  ])('says of %j: %s', (env, said) => {
    expect(describeFreeQuota(freeProviderSettings.parse(env))).toBe(said);
  });
});
