import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SettingsError } from '#service';
import { checkSettings } from './check-settings.js';

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'octo-settings-'));
});
afterAll(() => rmSync(dir, { recursive: true }));

function providersFile(free: string): string {
  const path = join(dir, 'providers.yaml');
  writeFileSync(path, `currency: USD\nproviders:\n  - { name: gratis, priceMicros: 0, ${free} }\n`);
  return path;
}

function problemsOf(env: NodeJS.ProcessEnv): string[] {
  try {
    checkSettings(env);
  } catch (error) {
    if (error instanceof SettingsError) return error.problems;
    throw error;
  }
  return [];
}

const COUNTED = 'quota: { policy: count-then-block, limit: 10, blockMs: 30000 }';

describe('checkSettings', () => {
  it('needs no variable set', () => {
    expect(checkSettings({})).toMatchObject({ DATA_DIR: '.data', free: { FREE_LIMIT: 10 } });
  });

  it('names a bad variable once, and not again for the file that uses it', () => {
    expect(problemsOf({ FREE_LIMIT: 'ten', AUTH_PORT: '0' })).toEqual([
      expect.stringMatching(/^AUTH_PORT: /),
      expect.stringMatching(/^FREE_LIMIT: /),
    ]);
  });

  it('names a bad field of the providers file', () => {
    const PROVIDERS_FILE = providersFile('url: nowhere');
    expect(problemsOf({ PROVIDERS_FILE })).toEqual([expect.stringContaining('providers.0.url')]);
  });
});

describe('the quota of the free provider that is started', () => {
  it.each([
    ['FREE_POLICY', 'fixed-window', 'count-then-block'],
    ['FREE_POLICY', 'sliding-window', 'count-then-block'],
    ['FREE_POLICY', 'token-bucket', 'count-then-block'],
    ['FREE_POLICY', 'unlimited', 'count-then-block'],
    ['FREE_STARTS_AT', 'first-refusal', 'last-accept'],
  ])(
    'is not started with %s=%s while the gateways count otherwise, and it is said what to do',
    (name, value, counted) => {
      expect(problemsOf({ [name]: value })).toEqual([
        `${name}: is ${value}, but providers.yaml counts free by ${counted}: ` +
          'write a providers file whose quota matches and set PROVIDERS_FILE to it',
      ]);
    },
  );

  it.each(['${FREE_PROVIDER_URL}', 'http://localhost:4101/messages'])('is found at %s, whatever its name', (url) => {
    const env = { FREE_PROVIDER_PORT: '4101', PROVIDERS_FILE: providersFile(`url: "${url}", ${COUNTED}`) };
    expect(problemsOf(env)).toEqual([]);
    expect(problemsOf({ ...env, FREE_POLICY: 'unlimited' })).toEqual([expect.stringContaining('counts gratis by')]);
  });

  it.each([
    [
      { FREE_POLICY: 'fixed-window', FREE_ANCHOR: 'clock' },
      'policy: fixed-window, limit: 1, windowMs: 9, anchor: clock',
    ],
    [{ FREE_POLICY: 'token-bucket' }, 'policy: token-bucket, capacity: 1, refillPerSecond: 1'],
    [{ FREE_STARTS_AT: 'first-refusal' }, 'policy: count-then-block, limit: 1, blockMs: 9, startsAt: first-refusal'],
  ])('is started with %j when the providers file says the same', (env, quota) => {
    const PROVIDERS_FILE = providersFile(`url: "\${FREE_PROVIDER_URL}", quota: { ${quota} }`);
    expect(problemsOf({ ...env, PROVIDERS_FILE })).toEqual([]);
    expect(problemsOf({ PROVIDERS_FILE })).not.toEqual([]);
  });

  it('may be any when the gateways do not count it', () => {
    const PROVIDERS_FILE = providersFile('url: "${FREE_PROVIDER_URL}"');
    expect(problemsOf({ PROVIDERS_FILE, FREE_POLICY: 'token-bucket' })).toEqual([]);
  });

  it('may be any when the gateways send somewhere else', () => {
    const env = { FREE_PROVIDER_URL: 'https://provider.example/messages', FREE_POLICY: 'token-bucket' };
    expect(problemsOf(env)).toEqual([]);
  });
});
