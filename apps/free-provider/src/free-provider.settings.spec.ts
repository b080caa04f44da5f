import { describe, expect, it } from '@jest/globals';
import { readSettings, SettingsError } from '#service';
import { freeProviderSettings } from './free-provider.settings.js';

describe('freeProviderSettings', () => {
  it('needs no variable set', () => {
    expect(readSettings(freeProviderSettings, {})).toMatchObject({
      PORT: 4001,
      FREE_LIMIT: 10,
      FREE_BLOCK_MS: 30_000,
      FREE_POLICY: 'count-then-block',
      FREE_RATELIMIT_HEADERS: true,
    });
  });

  it('takes the bounds of each variable', () => {
    const least = { FREE_LIMIT: '1', FREE_BLOCK_MS: '10', FREE_RATELIMIT_HEADERS: 'false' };
    expect(readSettings(freeProviderSettings, least)).toMatchObject({
      FREE_LIMIT: 1,
      FREE_BLOCK_MS: 10,
      FREE_RATELIMIT_HEADERS: false,
    });
    const most = { FREE_LIMIT: '1000000', FREE_BLOCK_MS: '86400000' };
    expect(readSettings(freeProviderSettings, most)).toMatchObject({
      FREE_LIMIT: 1_000_000,
      FREE_BLOCK_MS: 86_400_000,
    });
  });

  it.each([
    ['FREE_LIMIT', '0'],
    ['FREE_LIMIT', '1000001'],
    ['FREE_LIMIT', '1.5'],
    ['FREE_BLOCK_MS', '9'],
    ['FREE_BLOCK_MS', '86400001'],
    ['FREE_POLICY', 'none'],
    ['FREE_RATELIMIT_HEADERS', 'yes'],
  ])('does not start with %s=%s', (name, value) => {
    expect(() => readSettings(freeProviderSettings, { [name]: value })).toThrow(SettingsError);
  });
});
