import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { readSettings } from '#service';
import { authSettings } from './auth.settings.js';

const stores = { DATABASE_URL: 'postgres://db/octo', REDIS_URL: 'redis://redis' };
const pemOf = (namedCurve: string): string =>
  generateKeyPairSync('ec', { namedCurve }).privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();

describe('authSettings', () => {
  it('needs only the URLs of the stores', () => {
    expect(readSettings(authSettings, stores)).toMatchObject({ PORT: 4000, JWT_ISSUER: 'octo', LOGIN_ATTEMPTS: 10 });
  });

  it('needs a key in production and names the variable', () => {
    const production = { ...stores, NODE_ENV: 'production' };
    expect(() => readSettings(authSettings, production)).toThrow(/JWT_PRIVATE_KEY: is required .*JWT_PRIVATE_KEY_FILE/);
    const withFile = { ...production, JWT_PRIVATE_KEY_FILE: '/key.pem' };
    expect(readSettings(authSettings, withFile).JWT_PRIVATE_KEY_FILE).toBe('/key.pem');
  });

  it('names a missing key in production together with other bad variables', () => {
    const production = { ...stores, NODE_ENV: 'production', LOGIN_ATTEMPTS: 'many' };
    expect(() => readSettings(authSettings, production)).toThrow(/LOGIN_ATTEMPTS: [^]*JWT_PRIVATE_KEY: is required/);
  });

  it('accepts a key whose line breaks are written as \\n', () => {
    const oneLine = pemOf('P-256').replaceAll('\n', '\\n');
    expect(readSettings(authSettings, { ...stores, JWT_PRIVATE_KEY: oneLine }).JWT_PRIVATE_KEY?.type).toBe('private');
  });

  it('accepts a private key as the previous key and keeps its public half', () => {
    const settings = readSettings(authSettings, { ...stores, JWT_PREVIOUS_PUBLIC_KEY: pemOf('P-256') });
    expect(settings.JWT_PREVIOUS_PUBLIC_KEY?.type).toBe('public');
  });

  it.each(['nonsense', pemOf('P-384')])('refuses a key that is not for ES256, without showing it', (key) => {
    expect(() => readSettings(authSettings, { ...stores, JWT_PRIVATE_KEY: key })).toThrow(
      /^settings are not valid:\n {2}JWT_PRIVATE_KEY: must be a private key for ES256: PEM, PKCS #8, curve P-256$/,
    );
  });
});
