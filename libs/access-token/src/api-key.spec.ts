import { describe, expect, it } from '@jest/globals';
import { hashOfApiKey, isWellFormedApiKey, looksLikeApiKey, newApiKey, prefixOfApiKey } from './api-key.js';

describe('API keys', () => {
  it('have one form, a valid checksum, and differ', () => {
    const keys = Array.from({ length: 200 }, newApiKey);
    for (const key of keys) {
      expect(key).toMatch(/^octo_[0-9A-Za-z]{49}$/);
      expect(isWellFormedApiKey(key)).toBe(true);
    }
    expect(new Set(keys).size).toBe(keys.length);
  });

  it('are not well-formed after a change of any character', () => {
    const key = newApiKey();
    for (let i = 0; i < key.length; i += 1) {
      const other = key[i] === 'x' ? 'y' : 'x';
      expect(isWellFormedApiKey(key.slice(0, i) + other + key.slice(i + 1))).toBe(false);
    }
  });

  it.each(['', 'octo_', 'octo_x', 'eyJhbGciOiJFUzI1NiJ9.e30.x', `octo_${'0'.repeat(48)}`, `octo_${'0'.repeat(50)}`])(
    'do not include %j',
    (token) => {
      expect(isWellFormedApiKey(token)).toBe(false);
    },
  );

  it('are recognized by their start, of which the owner sees nine characters', () => {
    const key = newApiKey();
    expect(looksLikeApiKey(key)).toBe(true);
    expect(looksLikeApiKey('eyJ.e30.x')).toBe(false);
    expect(prefixOfApiKey(key)).toBe(key.slice(0, 9));
    expect(hashOfApiKey(key)).toMatch(/^[\w-]{43}$/);
  });
});
