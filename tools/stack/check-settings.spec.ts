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
  it('accepts an empty environment', () => {
    const settings = checkSettings({});
    expect(settings).toMatchObject({ DATA_DIR: '.data', hasDemoAccounts: true });
    expect(settings.providers.map(({ name }) => name)).toEqual(['free', 'paid']);
  });

  it('lists a bad variable once, also when the providers file uses it', () => {
    expect(problemsOf({ FREE_LIMIT: 'ten', AUTH_PORT: '0' })).toEqual([
      expect.stringMatching(/^AUTH_PORT: /),
      expect.stringMatching(/^FREE_LIMIT: /),
    ]);
  });

  it.each([{ NODE_ENV: 'production' }, { SEED_DEMO_ACCOUNTS: 'false' }])('reports no demo accounts with %j', (env) => {
    expect(checkSettings(env).hasDemoAccounts).toBe(false);
  });

  it.each(['FREE_PROVIDER', 'PAID_PROVIDER'])('gives any providers file ${%s_URL}', (provider) => {
    const PROVIDERS_FILE = providersFile(`url: "\${${provider}_URL}"`);
    const { providers } = checkSettings({ PROVIDERS_FILE, [`${provider}_PORT`]: '4101' });
    expect(providers[0]?.url).toBe('http://127.0.0.1:4101/messages');
  });

  it('lists a bad field of the providers file', () => {
    const PROVIDERS_FILE = providersFile('url: nowhere');
    expect(problemsOf({ PROVIDERS_FILE })).toEqual([expect.stringContaining('providers.0.url')]);
  });
});

describe('checkSettings with another policy of the free provider', () => {
  it.each([
    ['FREE_POLICY', 'fixed-window', 'count-then-block'],
    ['FREE_POLICY', 'sliding-window', 'count-then-block'],
    ['FREE_POLICY', 'token-bucket', 'count-then-block'],
    ['FREE_POLICY', 'unlimited', 'count-then-block'],
    ['FREE_STARTS_AT', 'first-refusal', 'last-accept'],
  ])('rejects %s=%s while the providers file says %s', (name, value, inFile) => {
    expect(problemsOf({ [name]: value })).toEqual([
      `${name}: is ${value}, but the quota of "free" in providers.yaml is ${inFile}; ` +
        'set PROVIDERS_FILE to a file with a matching quota',
    ]);
  });

  it.each(['${FREE_PROVIDER_URL}', 'http://localhost:4101/messages'])(
    'finds the free provider at %s under any name',
    (url) => {
      const env = { FREE_PROVIDER_PORT: '4101', PROVIDERS_FILE: providersFile(`url: "${url}", ${COUNTED}`) };
      expect(problemsOf(env)).toEqual([]);
      expect(problemsOf({ ...env, FREE_POLICY: 'unlimited' })).toEqual([
        expect.stringContaining('the quota of "gratis" in'),
      ]);
    },
  );

  it.each([
    [
      { FREE_POLICY: 'fixed-window', FREE_ANCHOR: 'clock' },
      'policy: fixed-window, limit: 1, windowMs: 9, anchor: clock',
    ],
    [{ FREE_POLICY: 'token-bucket' }, 'policy: token-bucket, capacity: 1, refillPerSecond: 1'],
    [{ FREE_STARTS_AT: 'first-refusal' }, 'policy: count-then-block, limit: 1, blockMs: 9, startsAt: first-refusal'],
  ])('accepts %j when the providers file says the same', (env, quota) => {
    const PROVIDERS_FILE = providersFile(`url: "\${FREE_PROVIDER_URL}", quota: { ${quota} }`);
    expect(problemsOf({ ...env, PROVIDERS_FILE })).toEqual([]);
    expect(problemsOf({ PROVIDERS_FILE })).not.toEqual([]);
  });

  it('accepts any policy when the providers file has no quota for it', () => {
    const PROVIDERS_FILE = providersFile('url: "${FREE_PROVIDER_URL}"');
    expect(problemsOf({ PROVIDERS_FILE, FREE_POLICY: 'token-bucket' })).toEqual([]);
  });

  it('accepts any policy when the gateways send to another provider', () => {
    const env = { FREE_PROVIDER_URL: 'https://provider.example/messages', FREE_POLICY: 'token-bucket' };
    expect(problemsOf(env)).toEqual([]);
  });
});
