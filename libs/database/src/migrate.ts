import { fileURLToPath } from 'node:url';
import { sql } from 'drizzle-orm';
import { readMigrationFiles } from 'drizzle-orm/migrator';
import { ADVISORY_LOCKS } from './advisory-locks.js';
import { isRefusedQuery } from './database-error.js';
import { grantToGateways } from './gateway-role.js';
import { inTransaction } from './in-transaction.js';
import type { Database, Queries } from './open-database.js';
import { createPartitions } from './partitions.js';

/** Next to `src`, in the source tree and in the build. */
const MIGRATIONS = fileURLToPath(new URL('../migrations', import.meta.url));

/**
 * Applies pending migrations, creates the partitions of these months, and gives the gateways' role its rights, if they
 * have one. Several processes may call it concurrently.
 * @param gatewayUrl the `DATABASE_URL` of the gateways, if they have a role of their own
 */
export async function migrate(db: Database, gatewayUrl?: string): Promise<void> {
  await applyMigrations(db, MIGRATIONS, async (tx) => {
    await createPartitions(tx, new Date());
    if (gatewayUrl !== undefined) await grantToGateways(tx, gatewayUrl);
  });
}

/**
 * Applies the pending migrations of a folder that Drizzle's tools can read, and records them where these look for them.
 * One transaction takes an advisory lock first: the first process migrates, the others wait and then find nothing to do.
 * @param then runs in the same transaction
 */
export async function applyMigrations(
  db: Database,
  folder: string,
  then?: (tx: Queries) => Promise<void>,
): Promise<void> {
  await inTransaction(db, async (tx) => {
    await tx.execute(sql`select pg_advisory_xact_lock(${ADVISORY_LOCKS.migrations})`);
    await tx.execute(sql`create schema if not exists drizzle`);
    await tx.execute(
      sql`create table if not exists drizzle.__drizzle_migrations (id serial primary key, hash text not null, created_at bigint)`,
    );
    await applyPending(tx, folder);
    await then?.(tx);
  });
}

/** Whether this role can create tables: the role that owns them can, the role of the gateways cannot. */
export async function mayMigrate(db: Database): Promise<boolean> {
  const { rows } = await db.execute(sql`select has_schema_privilege('public', 'create') as may_create`);
  return rows[0]?.['may_create'] === true;
}

/** Whether the owner of the tables has applied all migrations and this role may read that. */
export async function isMigrated(db: Database, folder = MIGRATIONS): Promise<boolean> {
  try {
    return (await pendingMigrations(db, folder)).length === 0;
  } catch (error) {
    if (isRefusedQuery(error)) return false;
    throw error;
  }
}

async function applyPending(tx: Queries, folder: string): Promise<void> {
  const pending = await pendingMigrations(tx, folder);
  if (pending.length === 0) return;
  // Without parameters it is one query of the simple protocol, which may hold many statements.
  await tx.execute(sql.raw(pending.flatMap((migration) => migration.sql).join('\n')));
  const done = pending.map(({ hash, folderMillis }) => sql`(${hash}, ${folderMillis})`);
  await tx.execute(sql`insert into drizzle.__drizzle_migrations (hash, created_at) values ${sql.join(done, sql`, `)}`);
}

async function pendingMigrations(db: Queries, folder: string): Promise<ReturnType<typeof readMigrationFiles>> {
  const { rows } = await db.execute<{ created_at: string }>(sql`select created_at from drizzle.__drizzle_migrations`);
  const applied = new Set(rows.map((row) => Number(row.created_at)));
  return readMigrationFiles({ migrationsFolder: folder }).filter(({ folderMillis }) => !applied.has(folderMillis));
}
