import { Inject, Injectable, Logger, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import { sql } from 'drizzle-orm';
import { type Database, InjectDatabase, type Queries } from '#database';
import type { GatewaySettings } from '../gateway.settings.js';
import { SETTINGS } from '../settings.token.js';
import { alone } from './alone.js';
import { createPartitions, firstIdOf } from './partitions.js';

const EVERY_MS = 3_600_000;
const DAY_MS = 86_400_000;

/** Makes the months to come, and drops what need not be kept: old texts, old keys, pods that are gone. */
@Injectable()
export class Retention implements OnApplicationBootstrap, OnApplicationShutdown {
  private readonly logger = new Logger('journal');
  private timer: NodeJS.Timeout | undefined;

  constructor(
    @InjectDatabase() private readonly db: Database,
    @Inject(SETTINGS) private readonly settings: GatewaySettings,
  ) {}

  onApplicationBootstrap(): void {
    this.timer = setInterval(() => void this.runNow(new Date()), EVERY_MS).unref();
  }

  onApplicationShutdown(): void {
    clearInterval(this.timer);
  }

  async runNow(now: Date): Promise<void> {
    try {
      await alone(this.db, (tx) => this.tidy(tx, now));
    } catch {
      // Postgres is down, which others say, or slow: the next hour does it.
      this.logger.warn('could not tidy up; trying again in an hour');
    }
  }

  private async tidy(tx: Queries, now: Date): Promise<void> {
    await createPartitions(tx, now);
    const firstKept = firstIdOf(new Date(now.getTime() - this.settings.MESSAGE_RETENTION_DAYS * DAY_MS));
    await tx.execute(sql`update messages set text = null, response = null
      where id < ${firstKept} and text is not null and status not in ('waiting', 'sending')`);
    await tx.execute(sql`delete from idempotency_keys where expires_at <= now()`);
    await tx.execute(sql`delete from gateway_pods where seen_at < now() - interval '1 day'`);
  }
}
