import { type DynamicModule, Global, Module } from '@nestjs/common';
import { AccessTokenModule } from '#access-token';
import { DatabaseModule } from '#database';
import { ConsoleModule } from './console/console.module.js';
import { type GatewaySettings, SETTINGS } from './gateway.settings.js';
import { MessagesModule } from './messages/messages.module.js';
import { LiveProviders } from './providers/live-providers.js';
import { PROVIDERS, readProvidersFile } from './providers/providers-file.js';
import { QuotaModule } from './quota/quota.module.js';

@Global()
@Module({})
export class GatewayModule {
  /** @throws SettingsError when the providers file is not valid */
  static with(settings: GatewaySettings): DynamicModule {
    return {
      module: GatewayModule,
      imports: [
        DatabaseModule.open({ url: settings.DATABASE_URL, isRequired: settings.JOURNAL_DOWN === 'refuse' }),
        AccessTokenModule.verifying({
          jwksUrl: `${settings.AUTH_URL}/.well-known/jwks.json`,
          issuer: settings.JWT_ISSUER,
          audience: settings.JWT_AUDIENCE,
          redisUrl: settings.REDIS_URL,
          whenRedisDown: settings.REVOCATION_WHEN_REDIS_DOWN,
        }),
        QuotaModule.wired(),
        MessagesModule,
        ConsoleModule,
      ],
      providers: [
        { provide: SETTINGS, useValue: settings },
        { provide: PROVIDERS, useValue: new LiveProviders(readProvidersFile(settings.PROVIDERS_FILE, process.env)) },
      ],
      exports: [SETTINGS, PROVIDERS],
    };
  }
}
