import { hkdfSync, type KeyObject } from 'node:crypto';
import { Controller, Get, Header, Inject } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import { jwkSetOf, type PublicKeys } from '#access-token';

/** A secret of 256 bits for one purpose, from the private key, which is not in the database (HKDF, RFC 5869). */
export function deriveKey(privateKey: KeyObject, purpose: string): Buffer {
  const { d } = privateKey.export({ format: 'jwk' });
  if (d === undefined) throw new TypeError('a key can be derived from a private key only');
  return Buffer.from(hkdfSync('sha256', Buffer.from(d, 'base64url'), '', purpose, 32));
}

export const PUBLIC_KEYS = Symbol('public keys');

@ApiTags('accounts')
@Controller('.well-known')
export class JwksController {
  private readonly jwkSet: object;

  constructor(@Inject(PUBLIC_KEYS) keys: PublicKeys) {
    this.jwkSet = jwkSetOf(keys);
  }

  @Get('jwks.json')
  @Header('cache-control', 'public, max-age=60')
  @ApiOperation({ summary: 'The public keys that verify access tokens (RFC 7517)' })
  keys(): object {
    return this.jwkSet;
  }
}
