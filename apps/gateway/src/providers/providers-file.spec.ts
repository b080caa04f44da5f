import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SettingsError } from '#service';
import { readProvidersFile } from './providers-file.js';

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'octo-yaml-'));
});
afterAll(() => rmSync(dir, { recursive: true }));

function read(yaml: string, env: NodeJS.ProcessEnv = {}) {
  const path = join(dir, 'providers.yaml');
  writeFileSync(path, yaml);
  return readProvidersFile(path, env);
}

function problemsOf(yaml: string, env: NodeJS.ProcessEnv = {}): string[] {
  try {
    read(yaml, env);
  } catch (error) {
    if (error instanceof SettingsError) return error.problems.map((problem) => problem.replace(/^.*?yaml: /, ''));
    throw error;
  }
  return [];
}

const provider = (fields: string) => `currency: USD\nproviders:\n  - { name: a, url: "http://a", ${fields} }\n`;

describe('the providers file', () => {
  it('may take a key from a variable that ends with a line break', async () => {
    const { providers } = read(provider('priceMicros: 0, headers: { authorization: "${KEY}" }'), { KEY: 'secret\n' });
    const request = await providers[0]?.request.render({ message: 'a', id: '1', channel: 'default', account: 'a' });
    expect(request?.headers).toContain('secret');
  });

  it('names the headers that describe a quota', () => {
    const quotas = 'quotas: [{ name: day, policy: sliding-window, limit: 9, windowMs: 86400000 }]';
    const named = (quota: string) =>
      provider(`priceMicros: 0, ${quotas}, announcements: [{ ${quota}remaining: X-Left }]`);
    for (const quota of ['', 'quota: day, ']) {
      expect(read(named(quota)).providers[0]?.readAnnouncement({ 'x-left': '7' })).toEqual({ remaining: 7 });
    }
    expect(problemsOf(named('quota: week, '))).toEqual([expect.stringContaining('quota: must name a quota')]);
  });

  it('that comes with the project is valid, and takes limit and block from the environment', () => {
    const { providers } = readProvidersFile('providers.yaml', { FREE_LIMIT: '7', FREE_BLOCK_MS: '900' });
    expect(providers[0]).toMatchObject({
      name: 'free',
      quota: { policy: 'count-then-block', limit: 7, blockMs: 900, startsAt: 'last-accept' },
    });
    expect(providers[1]).toMatchObject({ name: 'paid', priceMicros: 2_500 });
  });

  it('puts providers in the order they are tried: by price, then by place', () => {
    const { providers } = read(`currency: USD
providers:
  - { name: dear, url: "http://a", priceMicros: 9 }
  - { name: first, url: "http://a", priceMicros: 0 }
  - { name: second, url: "http://a", priceMicros: 0 }
`);
    expect(providers.map(({ name }) => name)).toEqual(['first', 'second', 'dear']);
  });

  it.each([
    ['a header of two lines', provider('priceMicros: 0, headers: { authorization: "a\\nb" }'), 'one line of ASCII'],
    ['a variable that is not set', provider('priceMicros: 0, headers: { authorization: "${KEY}" }'), 'KEY is not set'],
    ['a negative price', provider('priceMicros: -1'), 'providers.0.priceMicros'],
    ['an unknown field', provider('priceMicros: 0, limit: 3'), 'limit'],
    ['an unknown policy', provider('priceMicros: 0, quota: { policy: magic }'), 'providers.0.quota.policy'],
    [
      'a limit of words',
      provider('priceMicros: 0, quota: { policy: count-then-block, limit: ten, blockMs: 1 }'),
      'providers.0.quota.limit',
    ],
    ['no providers', 'currency: USD\nproviders: []\n', 'at least one'],
    [
      'the same name twice',
      `${provider('priceMicros: 0')}  - { name: a, url: "http://a", priceMicros: 0 }\n`,
      'names must differ',
    ],
    [
      'a currency that is none',
      'currency: dollars\nproviders: [{ name: a, url: "http://a", priceMicros: 0 }]\n',
      'currency',
    ],
    [
      'an address that is none',
      'currency: USD\nproviders: [{ name: a, url: "nowhere", priceMicros: 0 }]\n',
      'providers.0.url',
    ],
    ['no YAML', 'currency: [', 'Flow sequence'],
  ])('is refused with %s, naming it', (_what, yaml, named) => {
    expect(problemsOf(yaml).join('\n')).toContain(named);
  });

  it('names every bad field at once', () => {
    expect(problemsOf('currency: x\nproviders: [{ name: A, url: "http://a", priceMicros: -1 }]\n')).toHaveLength(3);
  });
});
