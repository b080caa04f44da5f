import { Inject, Injectable, Logger, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import { type SQL, sql } from 'drizzle-orm';
import { z } from 'zod';
import { type Database, databaseReason, firstIdOf, InjectDatabase } from '#database';
import type { GatewaySettings } from '../gateway.settings.js';
import { SETTINGS } from '../gateway.settings.js';
import { withHousekeepingLock } from './housekeeping-lock.js';

const FIRST_MS = 60_000;
const EVERY_MS = 3_600_000;
const DAY_MS = 86_400_000;
/** Rows of one transaction: few enough not to delay messages. */
const BATCH_MAX = 2_000;
const LOWEST_ID = '00000000-0000-0000-0000-000000000000';
/** A message may wait for 7 days and be resolved for one more: its text is dropped later than others of its age. */
const WAITING_MAX_DAYS = 9;

const chunkSchema = z.tuple([z.object({ last: z.uuid().nullable() })]);

/** Deletes old texts, keys, callbacks and pods that are gone. */
@Injectable()
export class Retention implements OnApplicationBootstrap, OnApplicationShutdown {
  private readonly logger = new Logger('journal');
  private timer: NodeJS.Timeout | undefined;
  private isClosed = false;
  /** All texts before this id are dropped, as far as this process knows. */
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
      const isDone = await this.dropTexts(firstIdOf(daysBefore(now, days)));
      if (isDone) this.textsFrom = firstIdOf(daysBefore(now, days + WAITING_MAX_DAYS));
      await this.dropRows(sql`idempotency_keys`, sql`expires_at <= now()`);
      await this.dropRows(sql`gateway_pods`, sql`seen_at < now() - interval '1 day'`);
      await this.dropRows(sql`callbacks`, sql`coalesce(delivered_at, gave_up_at) < now() - ${days} * interval '1 day'`);
    } catch (error) {
      this.logger.warn('housekeeping failed, next try in an hour', { reason: databaseReason(error) });
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
   * Drops the texts of ended messages before an id.
   * @returns whether this process has looked at all of them: another pod may do it at the same time
   */
  private async dropTexts(before: string): Promise<boolean> {
    let last: string | null | undefined = this.textsFrom;
    while (typeof last === 'string' && !this.isClosed) {
      const after: string = last;
      last = await withHousekeepingLock(this.db, async (tx) => {
        const { rows } = await tx.execute(sql`
          with picked as materialized (
            select id, text is not null and status not in ('waiting', 'sending') as is_to_drop from messages
            where id > ${after} and id < ${before} order by id limit ${BATCH_MAX}
          ), dropped as (
            update messages m set text = null, response = null from picked where m.id = picked.id and is_to_drop
          ) select (select id from picked order by id desc limit 1) as last`);
        return chunkSchema.parse(rows)[0].last;
      });
    }
    return last === null;
  }

  private async dropRows(table: SQL, which: SQL): Promise<void> {
    let dropped: number | undefined = BATCH_MAX;
    while (dropped === BATCH_MAX && !this.isClosed) {
      dropped = await withHousekeepingLock(this.db, async (tx): Promise<number> => {
        const some: SQL = sql`select ctid from ${table} where ${which} limit ${BATCH_MAX}`;
        const { rowCount } = await tx.execute(sql`delete from ${table} where ctid = any(array(${some}))`);
        return rowCount ?? 0;
      });
    }
  }
}

function daysBefore(now: Date, days: number): Date {
  return new Date(now.getTime() - days * DAY_MS);
}
