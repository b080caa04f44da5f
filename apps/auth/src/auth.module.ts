import { type DynamicModule, Module } from '@nestjs/common';
import { AccessTokenModule, AccessTokenSigner, loadSigningKeys } from '#access-token';
import { DatabaseModule } from '#database';
import { Readiness } from '#service';
import { AccountsController } from './accounts/accounts.controller.js';
import { AccountsService } from './accounts/accounts.service.js';
import { DemoAccounts } from './accounts/demo-accounts.js';
import { PasswordController } from './accounts/password.controller.js';
import { PasswordService } from './accounts/password.service.js';
import { Reauthentication } from './accounts/reauthentication.service.js';
import { AttemptLimits } from './attempt-limits.js';
import { AUTH_SETTINGS, type AuthSettings } from './auth.settings.js';
import { KeysController } from './keys/keys.controller.js';
import { KeysService } from './keys/keys.service.js';
import { ProviderSwitchesController } from './providers/provider-switches.controller.js';
import { ProviderSwitchesService } from './providers/provider-switches.service.js';
import { SecurityLogController } from './security-log/security-log.controller.js';
import { EMAIL_HASH_KEY, SecurityLog } from './security-log/security-log.service.js';
import { EndSessions } from './sessions/end-sessions.service.js';
import { KnownDevices } from './sessions/known-devices.js';
import { LoginService } from './sessions/login.service.js';
import { LogoutService } from './sessions/logout.service.js';
import { OwnSessionsController } from './sessions/own-sessions.controller.js';
import { OwnSessions } from './sessions/own-sessions.service.js';
import { RefreshTokens } from './sessions/refresh-tokens.js';
import { RevokedAccess } from './sessions/revoked-access.service.js';
import { SessionCookies } from './sessions/session-cookies.js';
import { SessionSweeper } from './sessions/session-sweeper.js';
import { SessionsController } from './sessions/sessions.controller.js';
import { SessionsService } from './sessions/sessions.service.js';
import { TotpController } from './totp/totp.controller.js';
import { TotpService } from './totp/totp.service.js';
import { WebhookSecretController } from './webhook-secret/webhook-secret.controller.js';
import { WebhookSecretService } from './webhook-secret/webhook-secret.service.js';
import { deriveKey, JwksController, PUBLIC_KEYS } from './signing-keys.js';

@Module({
  controllers: [
    AccountsController,
    PasswordController,
    SessionsController,
    OwnSessionsController,
    SecurityLogController,
    TotpController,
    KeysController,
    WebhookSecretController,
    ProviderSwitchesController,
    JwksController,
  ],
  providers: [
    AccountsService,
    DemoAccounts,
    EndSessions,
    KeysService,
    LoginService,
    OwnSessions,
    PasswordService,
    ProviderSwitchesService,
    Reauthentication,
    SecurityLog,
    LogoutService,
    RevokedAccess,
    SessionsService,
    SessionSweeper,
    TotpService,
    WebhookSecretService,
  ],
})
export class AuthModule {
  static with(settings: AuthSettings): DynamicModule {
    const { privateKey, publicKeys } = loadSigningKeys(settings);
    const issued = { issuer: settings.JWT_ISSUER, audience: settings.JWT_AUDIENCE };
    return {
      module: AuthModule,
      imports: [
        DatabaseModule.open({
          url: settings.DATABASE_URL,
          gatewayUrl: settings.GATEWAY_DATABASE_URL,
          isRequired: true,
        }),
        AccessTokenModule.verifying({
          ...issued,
          keys: publicKeys,
          redisUrl: settings.REDIS_URL,
          whenRedisDown: settings.REVOCATION_WHEN_REDIS_DOWN,
        }),
      ],
      providers: [
        { provide: AUTH_SETTINGS, useValue: settings },
        { provide: PUBLIC_KEYS, useValue: publicKeys },
        { provide: AccessTokenSigner, useFactory: () => new AccessTokenSigner({ privateKey, ...issued }) },
        { provide: RefreshTokens, useFactory: () => new RefreshTokens(privateKey) },
        { provide: EMAIL_HASH_KEY, useValue: deriveKey(privateKey, 'octo security log') },
        { provide: KnownDevices, useFactory: () => new KnownDevices(privateKey) },
        { provide: SessionCookies, useFactory: () => new SessionCookies(settings.PUBLIC_ORIGIN) },
        {
          provide: AttemptLimits,
          inject: [Readiness],
          useFactory: (readiness: Readiness) => new AttemptLimits(settings, readiness),
        },
      ],
    };
  }
}
