import { type DynamicModule, Global, Module } from '@nestjs/common';
import { AccessTokenModule } from '#access-token';
import { DatabaseModule } from '#database';
import { Readiness } from '#service';
import { ConsoleModule } from './console/console.module.js';
import { type GatewaySettings, SETTINGS } from './gateway.settings.js';
import { MetricsModule } from './metrics/metrics.module.js';
import { MessagesModule } from './messages/messages.module.js';
import { LiveProviders } from './providers/live-providers.js';
import { PROVIDERS, readProvidersFile } from './providers/providers-file.js';
import { UsageModule } from './usage/usage.module.js';
import { QuotaModule } from './quota/quota.module.js';

@Global()
@Module({})
export class GatewayModule {
  /** @throws SettingsError when the providers file is not valid */
  static with(settings: GatewaySettings): DynamicModule {
    const live = new LiveProviders(readProvidersFile(settings.PROVIDERS_FILE, process.env));
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
        UsageModule,
        ConsoleModule,
        MetricsModule,
      ],
      providers: [
        { provide: SETTINGS, useValue: settings },
        { provide: PROVIDERS, inject: [Readiness], useFactory: (readiness: Readiness) => watched(live, readiness) },
      ],
      exports: [SETTINGS, PROVIDERS],
    };
  }
}

/** Not required: the file in force goes on. The log has the problems, which may name paths of this machine. */
function watched(live: LiveProviders, readiness: Readiness): LiveProviders {
  readiness.prefer('providers file', () =>
    live.rejected.length === 0 ? undefined : 'is not valid, see the log; an older version stays in force',
  );
  return live;
}
