import { type DynamicModule, Module } from '@nestjs/common';
import { z } from 'zod';
import { AccessTokenGuard } from './access-token.guard.js';
import { AccessTokenSigner } from './access-token.signer.js';
import { AccessTokenVerifier, type KeySource, type VerifierOptions } from './access-token.verifier.js';
import { ApiKeys } from './api-keys.js';
import { RemoteKeys } from './remote-keys.js';
import { Revocations } from './revocations.js';
import { loadSigningKeys, type SigningKeyOptions } from './signing-keys.js';
import { StoredAccess } from './stored-access.js';

export type VerifyingOptions = ({ jwksUrl: string } | { keys: KeySource }) & {
  issuer: string;
  audience: string;
  redisUrl: string;
  whenRedisDown: 'accept' | 'refuse';
};

/** Settings of every app that accepts access tokens. */
export const accessTokenSettings = {
  /** The same in auth, which signs, and in the apps that verify. */
  JWT_ISSUER: z.string().default('octo'),
  JWT_AUDIENCE: z.string().default('octo'),
  /**
   * Whether to accept a token while neither Redis nor Postgres can tell whether it was revoked: without paid access, and
   * never for an admin. It expires after 15 minutes anyway.
   */
  REVOCATION_WHEN_REDIS_DOWN: z.enum(['accept', 'refuse']).default('accept'),
};

/** Verification of access tokens and API keys, with the database of the app: `@UseGuards(AccessTokenGuard)` works in every module of the app. */
@Module({})
export class AccessTokenModule {
  static verifying(options: VerifyingOptions): DynamicModule {
    const { issuer, audience, redisUrl, whenRedisDown } = options;
    const keys = 'keys' in options ? options.keys : new RemoteKeys(options.jwksUrl);
    return {
      module: AccessTokenModule,
      global: true,
      providers: [
        StoredAccess,
        {
          provide: Revocations,
          inject: [StoredAccess],
          useFactory: (stored: StoredAccess) => new Revocations(redisUrl, stored),
        },
        {
          provide: AccessTokenVerifier,
          inject: [Revocations, StoredAccess],
          useFactory: (revocations: Revocations, stored: StoredAccess) => {
            const apiKeys = new ApiKeys(stored, revocations);
            return new AccessTokenVerifier({ keys, issuer, audience, revocations, apiKeys, whenRedisDown });
          },
        },
        AccessTokenGuard,
      ],
      exports: [AccessTokenVerifier, Revocations, AccessTokenGuard],
    };
  }

  /**
   * For an app that signs tokens for itself and has no stores of auth: `AccessTokenSigner`, and verification by signature and
   * expiry alone. A token stays valid for its 15 minutes, and there are no API keys.
   * @param name issuer and audience of the tokens
   * @throws SettingsError for a key that cannot be used
   */
  static selfIssuing(settings: SigningKeyOptions, name: string): DynamicModule {
    const { privateKey, publicKeys } = loadSigningKeys(settings);
    const issued = { issuer: name, audience: name };
    const verifier = new AccessTokenVerifier({ ...issued, keys: publicKeys, ...WITHOUT_STORES });
    return {
      module: AccessTokenModule,
      global: true,
      providers: [
        { provide: AccessTokenSigner, useValue: new AccessTokenSigner({ ...issued, privateKey }) },
        { provide: AccessTokenVerifier, useValue: verifier },
        AccessTokenGuard,
      ],
      exports: [AccessTokenSigner, AccessTokenVerifier, AccessTokenGuard],
    };
  }
}

const WITHOUT_STORES: Pick<VerifierOptions, 'revocations' | 'apiKeys' | 'whenRedisDown'> = {
  revocations: { stateOf: () => Promise.resolve('live'), listen: () => {}, trustedUntil: Infinity },
  apiKeys: { verify: () => Promise.resolve({ outcome: 'refused', reason: 'invalid' }) },
  whenRedisDown: 'refuse',
};
