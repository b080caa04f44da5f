import { type DynamicModule, Module } from '@nestjs/common';
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

/** What an app needs to take access tokens: `@UseGuards(AccessTokenGuard)` works in all its modules. */
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
