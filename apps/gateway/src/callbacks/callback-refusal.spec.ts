import { describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { callbackRefusal } from './callback-refusal.js';
import type { CallbackSettings } from './callback-settings.js';

const settings = (changes: Partial<CallbackSettings> = {}): CallbackSettings => ({
  CALLBACK_SECRETS: [randomBytes(32)],
  CALLBACK_MASTER_SECRETS: [],
  CALLBACK_HOSTS: [],
  CALLBACK_ALLOW_PRIVATE: false,
  ...changes,
});
const local = settings({ CALLBACK_ALLOW_PRIVATE: true });
const longUrl = (chars: number): string => 'https://example.com/'.padEnd(chars, 'x');

describe('callbackRefusal', () => {
  it.each(['https://example.com', 'https://example.com:8443/hooks/7?a=b', 'https://1.1.1.1/', longUrl(2_048)])(
    'allows %.60s',
    (url) => {
      expect(callbackRefusal(url, settings())).toBeUndefined();
    },
  );

  it.each([
    ['', 'must be an absolute URL'],
    ['/hooks', 'must be an absolute URL'],
    ['http://example.com/', 'must start with https://'],
    ['ftp://example.com/', 'must start with https://'],
    ['https://user@example.com/', 'must not contain a user name or a password'],
    ['https://:hush@example.com/', 'must not contain a user name or a password'],
    [longUrl(2_049), 'must be at most 2048 characters'],
    ['https://127.0.0.1/', 'must not lead to a private or reserved address'],
    ['https://2130706433/', 'must not lead to a private or reserved address'],
    ['https://0x7f.1/', 'must not lead to a private or reserved address'],
    ['https://169.254.169.254/latest', 'must not lead to a private or reserved address'],
    ['https://[::1]/', 'must not lead to a private or reserved address'],
    ['https://[::ffff:10.0.0.1]/', 'must not lead to a private or reserved address'],
    ['https://localhost/', 'must not lead to a private or reserved address'],
    ['https://localhost./', 'must not lead to a private or reserved address'],
    ['https://a.localhost/', 'must not lead to a private or reserved address'],
  ])('refuses "%.60s" with a reason', (url, refusal) => {
    expect(callbackRefusal(url, settings())).toBe(refusal);
  });

  it.each(['http://example.com/', 'http://localhost:4444/', 'http://127.0.0.1/', 'https://[fd00::1]/'])(
    'allows %s if private addresses are allowed',
    (url) => {
      expect(callbackRefusal(url, local)).toBeUndefined();
    },
  );

  it.each([
    ['ftp://localhost/', 'must start with https:// or http://'],
    ['http://169.254.169.254/', 'must not lead to a private or reserved address'],
  ])('refuses %s even if private addresses are allowed', (url, refusal) => {
    expect(callbackRefusal(url, local)).toBe(refusal);
  });

  it('refuses every URL without CALLBACK_SECRETS, and names the setting', () => {
    expect(callbackRefusal('https://example.com', settings({ CALLBACK_SECRETS: [] }))).toMatch(/CALLBACK_SECRETS/);
  });

  describe('with CALLBACK_HOSTS', () => {
    const only = settings({ CALLBACK_HOSTS: ['hooks.example.com', '*.example.org'] });

    it.each([
      'https://hooks.example.com/',
      'https://HOOKS.example.com./',
      'https://a.example.org/',
      'https://a.b.example.org/',
    ])('allows %s', (url) => {
      expect(callbackRefusal(url, only)).toBeUndefined();
    });

    it.each([
      'https://example.com/',
      'https://a.hooks.example.com/',
      'https://example.org/',
      'https://badexample.org/',
      'https://a.example.org.evil.com/',
      'https://1.1.1.1/',
    ])('refuses %s', (url) => {
      expect(callbackRefusal(url, only)).toMatch(/a host that CALLBACK_HOSTS allows/);
    });
  });
});
