import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';

import { SettingsError } from '#service';
import { keyIdOf } from './jwk.js';
import { loadSigningKeys } from './signing-keys.js';

describe('loadSigningKeys', () => {
  let dir: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'octo-keys-'));
  });
  afterEach(() => rmSync(dir, { recursive: true }));

  const load = (settings: Partial<Parameters<typeof loadSigningKeys>[0]> = {}) =>
    loadSigningKeys({ NODE_ENV: 'test', JWT_PRIVATE_KEY_FILE: join(dir, 'new', 'key.pem'), ...settings });
  const idsOf = (keys: ReturnType<typeof load>): string[] => [...keys.publicKeys.keys()];

  it('creates a key that only its owner can read, and keeps it', () => {
    const first = load();
    expect(idsOf(load())).toEqual(idsOf(first));
    expect(readdirSync(join(dir, 'new'))).toEqual(['key.pem']);
    expect(statSync(join(dir, 'new', 'key.pem')).mode % 0o1000).toBe(0o600);
  });

  it('creates no key in production', () => {
    expect(() => load({ NODE_ENV: 'production' })).toThrow(SettingsError);
    expect(readdirSync(dir)).toEqual([]);
  });

  it('names the variable of a file without a key', () => {
    const file = join(dir, 'key.pem');
    writeFileSync(file, 'nonsense');
    expect(() => load({ JWT_PRIVATE_KEY_FILE: file })).toThrow(/JWT_PRIVATE_KEY_FILE: must be a private key/);
  });

  it('accepts the previous key after a change', () => {
    const [previousId = ''] = idsOf(load());
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const changed = load({ JWT_PRIVATE_KEY: privateKey, JWT_PREVIOUS_PUBLIC_KEY_FILE: join(dir, 'new', 'key.pem') });
    expect(idsOf(changed)).toEqual([keyIdOf(publicKey), previousId]);
    expect([...changed.publicKeys.values()].map((key) => key.type)).toEqual(['public', 'public']);
  });
});
