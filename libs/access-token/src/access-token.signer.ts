import { createPublicKey, type KeyObject, randomUUID } from 'node:crypto';
import { JwtService } from '@nestjs/jwt';
import { ACCESS_TOKEN_TTL_MS, ALGORITHM, type Claims } from './claims.js';
import { keyIdOf } from './jwk.js';

export interface SignerOptions {
  privateKey: KeyObject;
  issuer: string;
  audience: string;
}

export interface SignedToken {
  token: string;
  expiresAt: Date;
}

/** Signs access tokens with ES256; only the auth app has the private key. */
export class AccessTokenSigner {
  private readonly jwt: JwtService;

  constructor({ privateKey, issuer, audience }: SignerOptions) {
    const keyid = keyIdOf(createPublicKey(privateKey));
    this.jwt = new JwtService({ privateKey, signOptions: { algorithm: ALGORITHM, keyid, issuer, audience } });
  }

  async sign(claims: Pick<Claims, 'sub' | 'sid' | 'paidAccess' | 'role'>): Promise<SignedToken> {
    const iat = Math.floor(Date.now() / 1000);
    const exp = iat + ACCESS_TOKEN_TTL_MS / 1000;
    const token = await this.jwt.signAsync({ ...claims, iat, exp, jti: randomUUID() });
    return { token, expiresAt: new Date(exp * 1000) };
  }
}
