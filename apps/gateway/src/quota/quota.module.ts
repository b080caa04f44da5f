import { type DynamicModule, Inject, Module, type OnApplicationShutdown } from '@nestjs/common';
import { type Database, DATABASE } from '#database';
import { openQuotaRedis, Quota } from '#quota';
import type { RedisConnection } from '#redis';
import { logTransitions, Readiness } from '#service';
import { type GatewaySettings, SETTINGS } from '../gateway.settings.js';
import { recallFrom } from '../journal/recall.js';
import { ProvidersModule } from '../providers/providers.module.js';
import { PROVIDERS, type ProvidersFile } from '../providers/providers-file.js';
import { FreeShares } from './free-shares.service.js';
import { measureQuotaSteps } from './measure-quota-steps.js';
import { reportQuotaEvents, reportTrips } from './report-quota-events.js';
import { QuotaController } from './quota.controller.js';
import { QuotaReportService } from './quota-report.service.js';
import { Provisioning } from './provisioning.service.js';
import { QUOTA_REDIS } from './quota-redis.js';
import { quotasOf } from './quotas-of.js';
import { Reload } from './reload.service.js';

/** The quota engine, with a Redis connection of its own. */
@Module({})
export class QuotaModule implements OnApplicationShutdown {
  static wired(): DynamicModule {
    return {
      module: QuotaModule,
      global: true,
      imports: [ProvidersModule],
      controllers: [QuotaController],
      providers: [
        { provide: QUOTA_REDIS, inject: [SETTINGS], useFactory: openRedis },
        { provide: Quota, inject: [QUOTA_REDIS, SETTINGS, PROVIDERS, DATABASE], useFactory: createQuota },
        QuotaReportService,
        Provisioning,
        Reload,
        FreeShares,
      ],
      exports: [Quota, QUOTA_REDIS, QuotaReportService, FreeShares],
    };
  }

  constructor(
    @Inject(QUOTA_REDIS) private readonly redis: RedisConnection,
    private readonly quota: Quota,
    readiness: Readiness,
  ) {
    // Not required: without Redis paid messages are still sent, and no other pod has it either.
    readiness.prefer('redis', () => (quota.isConnected ? undefined : 'is not connected: no free sends'));
  }

  async onApplicationShutdown(): Promise<void> {
    await this.quota.close();
    this.redis.disconnect();
  }
}

function openRedis({ REDIS_URL }: GatewaySettings): RedisConnection {
  const redis = openQuotaRedis(REDIS_URL);
  logTransitions(redis, 'permits');
  return redis;
}

function createQuota(
  redis: RedisConnection,
  settings: GatewaySettings,
  { providers }: ProvidersFile,
  db: Database,
): Quota {
  const quota = new Quota({
    redis,
    providers: quotasOf(providers),
    whenForgotten: settings.QUOTA_WHEN_FORGOTTEN,
    // A journal that pods go on without does not know everything.
    ...(settings.JOURNAL_DOWN === 'refuse' && { recall: recallFrom(db) }),
    budgetMs: settings.QUOTA_BUDGET_MS,
    onEvent: reportQuotaEvents(),
    onStep: measureQuotaSteps(),
  });
  reportTrips(quota);
  return quota;
}
