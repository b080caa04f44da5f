import { describe, expect, it } from '@jest/globals';
import { readSettings, SettingsError } from '#service';
import { freeProviderSettings } from './free-provider.settings.js';

describe('freeProviderSettings', () => {
  it('needs no variable', () => {
    expect(readSettings(freeProviderSettings, {})).toMatchObject({
      PORT: 4001,
      FREE_LIMIT: 10,
      FREE_BLOCK_MS: 30_000,
      FREE_POLICY: 'count-then-block',
      FREE_STARTS_AT: 'last-accept',
      FREE_WINDOW_MS: 30_000,
      FREE_ANCHOR: 'first-accept',
      FREE_REFILL_PER_SECOND: 1,
      FREE_RATELIMIT_HEADERS: true,
    });
  });

  it('accepts the bounds of each variable', () => {
    const least = {
      FREE_LIMIT: '1',
      FREE_BLOCK_MS: '10',
      FREE_WINDOW_MS: '10',
      FREE_REFILL_PER_SECOND: '0.001',
      FREE_RATELIMIT_HEADERS: 'false',
    };
    expect(readSettings(freeProviderSettings, least)).toMatchObject({
      FREE_LIMIT: 1,
      FREE_BLOCK_MS: 10,
      FREE_WINDOW_MS: 10,
      FREE_REFILL_PER_SECOND: 0.001,
      FREE_RATELIMIT_HEADERS: false,
    });
    const most = {
      FREE_LIMIT: '1000000',
      FREE_BLOCK_MS: '86400000',
      FREE_WINDOW_MS: '86400000',
      FREE_REFILL_PER_SECOND: '100000',
    };
    expect(readSettings(freeProviderSettings, most)).toMatchObject({
      FREE_LIMIT: 1_000_000,
      FREE_BLOCK_MS: 86_400_000,
      FREE_WINDOW_MS: 86_400_000,
      FREE_REFILL_PER_SECOND: 100_000,
    });
  });

  it.each(['count-then-block', 'fixed-window', 'sliding-window', 'token-bucket', 'unlimited'])(
    'accepts FREE_POLICY=%s',
    (FREE_POLICY) => {
      expect(readSettings(freeProviderSettings, { FREE_POLICY })).toMatchObject({ FREE_POLICY });
    },
  );

  it.each([
    ['FREE_LIMIT', '0'],
    ['FREE_LIMIT', '1000001'],
    ['FREE_LIMIT', '1.5'],
    ['FREE_BLOCK_MS', '9'],
    ['FREE_BLOCK_MS', '86400001'],
    ['FREE_POLICY', 'none'],
    ['FREE_STARTS_AT', 'first-accept'],
    ['FREE_WINDOW_MS', '9'],
    ['FREE_WINDOW_MS', '86400001'],
    ['FREE_ANCHOR', 'last-accept'],
    ['FREE_REFILL_PER_SECOND', '0'],
    ['FREE_REFILL_PER_SECOND', '100001'],
    ['FREE_REFILL_PER_SECOND', 'often'],
    ['FREE_RATELIMIT_HEADERS', 'yes'],
  ])('refuses %s=%s', (name, value) => {
    expect(() => readSettings(freeProviderSettings, { [name]: value })).toThrow(SettingsError);
  });
});
