import { createHash, createPublicKey, type KeyObject } from 'node:crypto';
import { z } from 'zod';
import { ALGORITHM } from './claims.js';

const coordinate = z.base64url().length(43);

/** A public key of the curve P-256 (RFC 7518, section 6.2.1). */
const publicJwkSchema = z.object({ kty: z.literal('EC'), crv: z.literal('P-256'), x: coordinate, y: coordinate });

const jwkSetSchema = z.object({ keys: z.array(z.unknown()) });
const keyOfSetSchema = publicJwkSchema.extend({ kid: z.string().min(1) });

/** Public keys by key id. */
export type PublicKeys = ReadonlyMap<string, KeyObject>;

/** The JWK thumbprint (RFC 7638): SHA-256 over the required members in alphabetical order. */
export function keyIdOf(publicKey: KeyObject): string {
  const { crv, kty, x, y } = publicJwkSchema.parse(publicKey.export({ format: 'jwk' }));
  return createHash('sha256').update(JSON.stringify({ crv, kty, x, y })).digest('base64url');
}

/** Keys by id. Of a private key it keeps the public half. */
export function publicKeysOf(keys: readonly KeyObject[]): PublicKeys {
  const publicKeys = keys.map((key) => (key.type === 'private' ? createPublicKey(key) : key));
  return new Map(publicKeys.map((key) => [keyIdOf(key), key]));
}

/** The JWK Set (RFC 7517) with which other apps verify. */
export function jwkSetOf(keys: PublicKeys): { keys: object[] } {
  return {
    keys: [...keys].map(([kid, key]) => {
      const { kty, crv, x, y } = publicJwkSchema.parse(key.export({ format: 'jwk' }));
      return { kty, crv, x, y, kid, alg: ALGORITHM, use: 'sig' };
    }),
  };
}

/**
 * Reads a JWK Set. Skips keys of other kinds, as RFC 7517, section 5 requires.
 * @throws ZodError if the document is not a JWK Set
 */
export function parseJwkSet(document: unknown): PublicKeys {
  const keys = new Map<string, KeyObject>();
  for (const entry of jwkSetSchema.parse(document).keys) {
    const jwk = keyOfSetSchema.safeParse(entry);
    if (jwk.success) keys.set(jwk.data.kid, createPublicKey({ key: jwk.data, format: 'jwk' }));
  }
  return keys;
}
