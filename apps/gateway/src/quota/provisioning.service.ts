import { Inject, Injectable, Logger, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import { sql } from 'drizzle-orm';
import {
  ADVISORY_LOCKS,
  type Database,
  databaseReason,
  InjectDatabase,
  inTransaction,
  providerProvisioning,
} from '#database';
import { Quota } from '#quota';
import { OutageLog, Readiness } from '#service';
import { type GatewaySettings, SETTINGS } from '../gateway.settings.js';

const RETRY_MS = 500;

/**
 * Distinguishes a new provider from one whose count was lost: the first pod that meets a provider writes its row to
 * Postgres and creates its count in Redis. From then on a missing count means forgotten, never new.
 */
@Injectable()
export class Provisioning implements OnApplicationBootstrap, OnApplicationShutdown {
  private readonly logger = new Logger('provisioning');
  private readonly outage = new OutageLog(this.logger, {
    failed: 'quotas cannot be provisioned yet',
    recovered: 'quotas can be provisioned again',
  });
  private readonly isFresh: boolean;
  private isDone: boolean;
  private retry: NodeJS.Timeout | undefined;

  constructor(
    @InjectDatabase() private readonly db: Database,
    private readonly quota: Quota,
    @Inject(SETTINGS) settings: GatewaySettings,
    readiness: Readiness,
  ) {
    // Then a new provider and a forgotten one are the same.
    this.isFresh = settings.QUOTA_WHEN_FORGOTTEN === 'fresh';
    this.isDone = this.isFresh;
    readiness.prefer('quota', () => (this.isDone ? undefined : 'is not provisioned yet'));
  }

  async onApplicationBootstrap(): Promise<void> {
    if (!this.isDone) await this.tryOnce();
  }

  onApplicationShutdown(): void {
    clearTimeout(this.retry);
  }

  private async tryOnce(): Promise<void> {
    try {
      await this.provisionNewOnes();
      this.isDone = true;
      this.outage.recovered();
    } catch (error) {
      this.outage.failed({ reason: databaseReason(error) });
      this.retry = setTimeout(() => void this.tryOnce(), RETRY_MS);
    }
  }

  /** Provisions the quotas that no pod has provisioned yet. */
  async provisionNewOnes(): Promise<void> {
    if (this.isFresh) return;
    await inTransaction(this.db, async (tx) => {
      await tx.execute(sql`select pg_advisory_xact_lock(${ADVISORY_LOCKS.provisioning})`);
      const known = new Set((await tx.select().from(providerProvisioning)).map(({ name }) => name));
      const fresh = this.quota.names.filter((name) => !known.has(name));
      if (fresh.length === 0) return;
      await tx.insert(providerProvisioning).values(fresh.map((name) => ({ name })));
      // Before the row is committed: a row without a count would look like a count that was lost.
      await Promise.all(fresh.map((name) => this.quota.provision(name)));
      this.logger.log('quotas provisioned', { providers: fresh });
    });
  }
}
