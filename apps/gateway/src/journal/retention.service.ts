import { Inject, Injectable, Logger, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import { DrizzleQueryError, type SQL, sql } from 'drizzle-orm';
import { z } from 'zod';
import { type Database, InjectDatabase } from '#database';
import type { GatewaySettings } from '../gateway.settings.js';
import { SETTINGS } from '../settings.token.js';
import { withHousekeepingLock } from './housekeeping-lock.js';
import { ensurePartitions, firstIdOf } from './partitions.js';

const FIRST_MS = 60_000;
const EVERY_MS = 3_600_000;
const DAY_MS = 86_400_000;
/** In one transaction: so few that nobody waits for it. */
const AT_ONCE = 2_000;
const LOWEST_ID = '00000000-0000-0000-0000-000000000000';
/** Messages may wait for 7 days, and be asked for one more: their texts go later than those of others as old. */
const WAITING_MAX_DAYS = 9;

const chunkSchema = z.tuple([z.object({ last: z.uuid().nullable() })]);

/** Makes the months to come, and drops what need not be kept: old texts, keys and callbacks, pods that are gone. */
@Injectable()
export class Retention implements OnApplicationBootstrap, OnApplicationShutdown {
  private readonly logger = new Logger('journal');
  private timer: NodeJS.Timeout | undefined;
  private isClosed = false;
  /** No message before this one has a text that may be dropped, as far as this process knows. */
  private textsFrom = LOWEST_ID;

  constructor(
    @InjectDatabase() private readonly db: Database,
    @Inject(SETTINGS) private readonly settings: GatewaySettings,
  ) {}

  onApplicationBootstrap(): void {
    this.runIn(FIRST_MS);
  }

  onApplicationShutdown(): void {
    this.isClosed = true;
    clearTimeout(this.timer);
  }

  async runNow(now: Date): Promise<void> {
    const { MESSAGE_RETENTION_DAYS: days } = this.settings;
    try {
      await ensurePartitions(this.db, now);
      const isDone = await this.dropTexts(firstIdOf(daysBefore(now, days)));
      if (isDone) this.textsFrom = firstIdOf(daysBefore(now, days + WAITING_MAX_DAYS));
      await this.dropRows(sql`idempotency_keys`, sql`expires_at <= now()`);
      await this.dropRows(sql`gateway_pods`, sql`seen_at < now() - interval '1 day'`);
      await this.dropRows(sql`callbacks`, sql`coalesce(delivered_at, gave_up_at) < now() - ${days} * interval '1 day'`);
    } catch (error) {
      // Drizzle's own message holds the parameters.
      const { message } = error instanceof DrizzleQueryError && error.cause ? error.cause : (error as Error);
      this.logger.warn('could not tidy up, trying again in an hour', { reason: message });
    }
  }

  private runIn(ms: number): void {
    this.timer = setTimeout(
      () => void this.runNow(new Date()).finally(() => this.isClosed || this.runIn(EVERY_MS)),
      ms,
    );
    this.timer.unref();
  }

  /**
   * Of messages before this id that are over.
   * @returns whether this process has looked at all of them: another one may be at it
   */
  private async dropTexts(before: string): Promise<boolean> {
    let last: string | null | undefined = this.textsFrom;
    while (typeof last === 'string' && !this.isClosed) {
      const after: string = last;
      last = await withHousekeepingLock(this.db, async (tx) => {
        const { rows } = await tx.execute(sql`
          with picked as materialized (
            select id, text is not null and status not in ('waiting', 'sending') as is_to_drop from messages
            where id > ${after} and id < ${before} order by id limit ${AT_ONCE}
          ), dropped as (
            update messages m set text = null, response = null from picked where m.id = picked.id and is_to_drop
          ) select (select id from picked order by id desc limit 1) as last`);
        return chunkSchema.parse(rows)[0].last;
      });
    }
    return last === null;
  }

  private async dropRows(table: SQL, which: SQL): Promise<void> {
    let dropped: number | undefined = AT_ONCE;
    while (dropped === AT_ONCE && !this.isClosed) {
      dropped = await withHousekeepingLock(this.db, async (tx): Promise<number> => {
        const some: SQL = sql`select ctid from ${table} where ${which} limit ${AT_ONCE}`;
        const { rowCount } = await tx.execute(sql`delete from ${table} where ctid = any(array(${some}))`);
        return rowCount ?? 0;
      });
    }
  }
}

function daysBefore(now: Date, days: number): Date {
  return new Date(now.getTime() - days * DAY_MS);
}
