import { type DynamicModule, Module } from '@nestjs/common';
import { z } from 'zod';
import { AccessTokenGuard } from './access-token.guard.js';
import { AccessTokenVerifier, type KeySource } from './access-token.verifier.js';
import { RemoteKeys } from './remote-keys.js';
import { Revocations } from './revocations.js';

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
  /** Whether to accept a token while its revocation cannot be checked. It expires after 15 minutes anyway. */
  REVOCATION_WHEN_REDIS_DOWN: z.enum(['accept', 'refuse']).default('accept'),
};

/** Verification of access tokens: `@UseGuards(AccessTokenGuard)` works in every module of the app. */
@Module({})
export class AccessTokenModule {
  static verifying(options: VerifyingOptions): DynamicModule {
    const { issuer, audience, redisUrl, whenRedisDown } = options;
    const keys = 'keys' in options ? options.keys : new RemoteKeys(options.jwksUrl);
    return {
      module: AccessTokenModule,
      global: true,
      providers: [
        { provide: Revocations, useFactory: () => new Revocations(redisUrl) },
        {
          provide: AccessTokenVerifier,
          inject: [Revocations],
          useFactory: (revocations: Revocations) =>
            new AccessTokenVerifier({ keys, issuer, audience, revocations, whenRedisDown }),
        },
        AccessTokenGuard,
      ],
      exports: [AccessTokenVerifier, Revocations, AccessTokenGuard],
    };
  }
}
