import { type DynamicModule, Module } from '@nestjs/common';
import { z } from 'zod';
import { AccessTokenGuard } from './access-token.guard.js';
import { AccessTokenVerifier, type KeySource, type VerifierOptions } from './access-token.verifier.js';
import { ApiKeys } from './api-keys.js';
import { RemoteKeys } from './remote-keys.js';
import { Revocations } from './revocations.js';
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
   * Verification by signature and expiry alone, without stores: a token stays valid for its 15 minutes, and there are no
   * API keys. For an app without the tables of auth.
   */
  static verifyingSignatures(options: { keys: KeySource; issuer: string; audience: string }): DynamicModule {
    const verifier = new AccessTokenVerifier({ ...options, ...WITHOUT_STORES });
    return {
      module: AccessTokenModule,
      global: true,
      providers: [{ provide: AccessTokenVerifier, useValue: verifier }, AccessTokenGuard],
      exports: [AccessTokenVerifier, AccessTokenGuard],
    };
  }
}

const WITHOUT_STORES: Pick<VerifierOptions, 'revocations' | 'apiKeys' | 'whenRedisDown'> = {
  revocations: { stateOf: () => Promise.resolve('live'), listen: () => {}, trustedUntil: Infinity },
  apiKeys: { verify: () => Promise.resolve({ outcome: 'refused', reason: 'invalid' }) },
  whenRedisDown: 'refuse',
};
