import { describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { readSettings } from '#service';
import { gatewaySettings } from '../gateway.settings.js';
import { callbackSettings } from './callback-settings.js';

const read = (env: Record<string, string>) => readSettings(z.object(callbackSettings), env);
const secretOf = (key: Buffer): string => `whsec_${key.toString('base64')}`;

describe('callbackSettings', () => {
  it('default to no secrets, no hosts and no private addresses', () => {
    expect(read({})).toEqual({
      CALLBACK_SECRETS: [],
      CALLBACK_MASTER_SECRETS: [],
      CALLBACK_HOSTS: [],
      CALLBACK_ALLOW_PRIVATE: false,
    });
  });

  it('decode every secret of CALLBACK_SECRETS', () => {
    const keys = [randomBytes(24), randomBytes(64)];
    expect(read({ CALLBACK_SECRETS: keys.map(secretOf).join(', ') }).CALLBACK_SECRETS).toEqual(keys);
  });

  it.each([
    ['is too short', secretOf(randomBytes(23))],
    ['is too long', secretOf(randomBytes(65))],
    ['lacks the prefix whsec_', randomBytes(32).toString('base64')],
    ['is not base64', `whsec_${'ab-cd_'.repeat(8)}`],
    ['is invalid beside a valid one', `${secretOf(randomBytes(32))},whsec_`],
  ])('refuse a secret that %s, with an error that does not contain the secret', (_what, secret) => {
    const reading = () => read({ CALLBACK_SECRETS: secret });
    expect(reading).toThrow(/CALLBACK_SECRETS: must be whsec_ and 24 to 64 bytes/);
    expect(reading).not.toThrow(secret);
  });

  it('refuse a master secret that is also one of CALLBACK_SECRETS, without showing it', () => {
    const secret = secretOf(randomBytes(32));
    const stores = { DATABASE_URL: 'postgres://db/octo', REDIS_URL: 'redis://redis' };
    const readAll = (master: string) =>
      readSettings(gatewaySettings, { ...stores, CALLBACK_SECRETS: secret, CALLBACK_MASTER_SECRETS: master });
    expect(() => readAll(secret)).toThrow(/CALLBACK_MASTER_SECRETS: must not be one of CALLBACK_SECRETS[^/]*$/);
    expect(() => readAll(secret)).not.toThrow(secret);
    expect(readAll(secretOf(randomBytes(32))).CALLBACK_MASTER_SECRETS).toHaveLength(1);
  });

  it('convert CALLBACK_HOSTS to lower case', () => {
    const { CALLBACK_HOSTS } = read({ CALLBACK_HOSTS: 'Hooks.Example.com, *.example.org' });
    expect(CALLBACK_HOSTS).toEqual(['hooks.example.com', '*.example.org']);
  });

  it.each(['https://example.com', '*', 'a.*.com', '*example.com', 'example.com:443'])(
    'refuse %s in CALLBACK_HOSTS',
    (host) => {
      expect(() => read({ CALLBACK_HOSTS: host })).toThrow(/CALLBACK_HOSTS: must be host names/);
    },
  );
});
