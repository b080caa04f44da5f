import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { jwkSetOf, keyIdOf, parseJwkSet, publicKeysOf } from './jwk.js';

/** From RFC 7515, appendix A.3. */
const RFC_KEY = {
  kty: 'EC',
  crv: 'P-256',
  x: 'f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU',
  y: 'x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0',
};

describe('keyIdOf', () => {
  it('is the thumbprint of RFC 7638', () => {
    const key = createPublicKey({ key: RFC_KEY, format: 'jwk' });
    expect(keyIdOf(key)).toBe('oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U');
  });

  it('refuses a key of another curve', () => {
    expect(() => keyIdOf(generateKeyPairSync('ec', { namedCurve: 'P-384' }).publicKey)).toThrow();
  });
});

describe('the JWK Set', () => {
  it('holds no part of a private key', () => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const [jwk] = jwkSetOf(publicKeysOf([privateKey])).keys;
    expect(Object.keys(jwk ?? {}).toSorted()).toEqual(['alg', 'crv', 'kid', 'kty', 'use', 'x', 'y']);
  });

  it('returns each key that was put in', () => {
    const pairs = [1, 2].map(() => generateKeyPairSync('ec', { namedCurve: 'P-256' }));
    const keys = publicKeysOf(pairs.map((pair) => pair.publicKey));
    const read = parseJwkSet(JSON.parse(JSON.stringify(jwkSetOf(keys))));
    expect([...read.keys()]).toEqual([...keys.keys()]);
    expect([...read].every(([kid, key]) => keyIdOf(key) === kid)).toBe(true);
  });

  it('skips keys of unknown kinds', () => {
    const known = { ...RFC_KEY, kid: 'known' };
    expect([...parseJwkSet({ keys: [{ kty: 'RSA', kid: 'rsa' }, known, 'nonsense'] }).keys()]).toEqual(['known']);
  });
});
