import { type DynamicModule, Module } from '@nestjs/common';
import { AccessTokenModule, AccessTokenSigner } from '#access-token';
import { DatabaseModule } from '#database';
import { Readiness, ServiceModule } from '#service';
import { AccountsController } from './accounts/accounts.controller.js';
import { AccountsService } from './accounts/accounts.service.js';
import { DemoAccounts } from './accounts/demo-accounts.js';
import { AttemptLimits } from './attempt-limits.js';
import type { AuthSettings } from './auth.settings.js';
import { KeysController } from './keys/keys.controller.js';
import { KeysService } from './keys/keys.service.js';
import { LoginService } from './sessions/login.service.js';
import { RefreshTokens } from './sessions/refresh-tokens.js';
import { RevokedAccess } from './sessions/revoked-access.service.js';
import { SessionCookies } from './sessions/session-cookies.js';
import { SessionSweeper } from './sessions/session-sweeper.js';
import { SessionsController } from './sessions/sessions.controller.js';
import { SessionsService } from './sessions/sessions.service.js';
import { JwksController, loadSigningKeys, PUBLIC_KEYS } from './signing-keys.js';

@Module({
  controllers: [AccountsController, SessionsController, KeysController, JwksController],
  providers: [AccountsService, KeysService, LoginService, RevokedAccess, SessionsService, SessionSweeper],
})
export class AuthModule {
  static with(settings: AuthSettings): DynamicModule {
    const { privateKey, publicKeys } = loadSigningKeys(settings);
    const issued = { issuer: settings.JWT_ISSUER, audience: settings.JWT_AUDIENCE };
    const seeds = settings.SEED_DEMO_ACCOUNTS && settings.NODE_ENV !== 'production';
    return {
      module: AuthModule,
      imports: [
        ServiceModule,
        DatabaseModule.open({ url: settings.DATABASE_URL }),
        AccessTokenModule.verifying({
          ...issued,
          keys: publicKeys,
          redisUrl: settings.REDIS_URL,
          whenRedisDown: settings.REVOCATION_WHEN_REDIS_DOWN,
        }),
      ],
      providers: [
        { provide: PUBLIC_KEYS, useValue: publicKeys },
        { provide: AccessTokenSigner, useFactory: () => new AccessTokenSigner({ privateKey, ...issued }) },
        { provide: RefreshTokens, useFactory: () => new RefreshTokens(privateKey) },
        { provide: SessionCookies, useFactory: () => new SessionCookies(settings.PUBLIC_ORIGIN) },
        {
          provide: AttemptLimits,
          inject: [Readiness],
          useFactory: (readiness: Readiness) => new AttemptLimits(settings, readiness),
        },
        ...(seeds ? [DemoAccounts] : []),
      ],
    };
  }
}
