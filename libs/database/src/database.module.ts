import { setTimeout as sleep } from 'node:timers/promises';
import {
  type DynamicModule,
  Inject,
  Logger,
  Module,
  type OnApplicationShutdown,
  type OnModuleInit,
} from '@nestjs/common';
import { sql } from 'drizzle-orm';
import type { Pool } from 'pg';
import { Gauge } from 'prom-client';
import { Readiness } from '#service';
import { databaseReason } from './database-error.js';
import { applyMigrations, isMigrated, mayMigrate, migrate } from './migrate.js';
import { type Database, openDatabase } from './open-database.js';
import { ensurePartitions } from './partitions.js';

export const DATABASE = Symbol('database');
const OPTIONS = Symbol('options of database');

export interface DatabaseOptions {
  url: string;
  /** Whether the app is down without Postgres, or only degraded. */
  isRequired: boolean;
  /** The `DATABASE_URL` of the gateways, if they have a role of their own: it gets its rights after the migrations. */
  gatewayUrl?: string | undefined;
  /** Folder with the migrations of an app that has tables of its own, instead of Octo's. */
  migrations?: string;
}

/** Constructor parameter decorator: the `Database` that `DatabaseModule` opened. */
export const InjectDatabase = (): ParameterDecorator => Inject(DATABASE);

/** How long a start waits for Postgres to come up. */
const START_TIMEOUT_MS = 10_000;
const START_RETRY_MS = 250;
/** Includes the wait for a migration that another process is running. */
const MIGRATION_TIMEOUT_MS = 300_000;
const PARTITIONS_EVERY_MS = 3_600_000;

/**
 * The database of an app: part of its readiness, closes after the last request. Before the app listens, the role that
 * owns the tables migrates them; any other role waits for that.
 */
@Module({})
export class DatabaseModule implements OnModuleInit, OnApplicationShutdown {
  private readonly logger = new Logger('postgres');
  private partitionsTimer: NodeJS.Timeout | undefined;

  static open(options: DatabaseOptions): DynamicModule {
    const providers = [
      { provide: OPTIONS, useValue: options },
      { provide: DATABASE, useFactory: () => openDatabase(options.url) },
    ];
    return { module: DatabaseModule, global: true, providers, exports: [DATABASE] };
  }

  constructor(
    @Inject(OPTIONS) private readonly options: DatabaseOptions,
    @InjectDatabase() private readonly db: Database,
    readiness: Readiness,
  ) {
    measurePool(this.db.$client);
    const check = async () => {
      const { rows } = await this.db.execute(sql`select current_setting('transaction_read_only') as is_read_only`);
      return rows[0]?.['is_read_only'] === 'on' ? 'is read-only' : undefined;
    };
    if (options.isRequired) readiness.require('postgres', check);
    else readiness.prefer('postgres', check);
  }

  /** Nest runs this before the same hook of importing modules, so that they find their tables. */
  async onModuleInit(): Promise<void> {
    await untilReachable(this.db, Date.now() + START_TIMEOUT_MS);
    const migrator = openDatabase(this.options.url, { connections: 1, statementTimeoutMs: MIGRATION_TIMEOUT_MS });
    try {
      if (await mayMigrate(migrator)) await this.migrate(migrator);
      else await this.untilMigrated(migrator, Date.now() + MIGRATION_TIMEOUT_MS);
    } finally {
      await migrator.$client.end();
    }
  }

  private async migrate(migrator: Database): Promise<void> {
    const { migrations, gatewayUrl } = this.options;
    if (migrations !== undefined) return applyMigrations(migrator, migrations);
    await migrate(migrator, gatewayUrl);
    const nextMonths = (): Promise<void> =>
      ensurePartitions(this.db, new Date()).catch((error: unknown) =>
        this.logger.warn('partitions cannot be created', { reason: databaseReason(error) }),
      );
    this.partitionsTimer = setInterval(() => void nextMonths(), PARTITIONS_EVERY_MS).unref();
  }

  private async untilMigrated(db: Database, deadline: number): Promise<void> {
    const { migrations } = this.options;
    if (await isMigrated(db, migrations)) return;
    this.logger.log('waiting for the owner of the tables to migrate them');
    while (!(await isMigrated(db, migrations))) {
      if (Date.now() >= deadline) throw new Error(`the tables were not migrated within ${MIGRATION_TIMEOUT_MS} ms`);
      await sleep(START_RETRY_MS);
    }
  }

  async onApplicationShutdown(): Promise<void> {
    clearInterval(this.partitionsTimer);
    await this.db.$client.end();
  }
}

/** The pool of this process, from its memory. */
function measurePool(pool: Pool): void {
  new Gauge({
    name: 'octo_postgres_connections',
    help: 'Connections of this process to Postgres: busy or idle',
    labelNames: ['state'],
    collect() {
      this.set({ state: 'busy' }, pool.totalCount - pool.idleCount);
      this.set({ state: 'idle' }, pool.idleCount);
    },
  });
  new Gauge({
    name: 'octo_postgres_queued_queries',
    help: 'Queries of this process that wait for a connection to Postgres',
    collect() {
      this.set(pool.waitingCount);
    },
  });
}

async function untilReachable(db: Database, deadline: number): Promise<void> {
  try {
    await db.$client.query('select 1');
  } catch (error) {
    if (Date.now() >= deadline)
      throw new Error(`cannot connect to postgres within ${START_TIMEOUT_MS} ms`, { cause: error });
    await sleep(START_RETRY_MS);
    return untilReachable(db, deadline);
  }
}
