import { fileURLToPath } from 'node:url';
import { sql } from 'drizzle-orm';
import { readMigrationFiles } from 'drizzle-orm/migrator';
import { ADVISORY_LOCKS } from './advisory-locks.js';
import { inTransaction } from './in-transaction.js';
import type { Database } from './open-database.js';

/** Next to `src`, in the source tree and in the build. */
const MIGRATIONS = fileURLToPath(new URL('../migrations', import.meta.url));

/**
 * Applies pending migrations; several processes may call it concurrently. One transaction takes an advisory lock first:
 * the first process migrates, the others wait and then find nothing to do. Records the migrations where Drizzle's tools
 * look for them.
 */
export async function migrate(db: Database): Promise<void> {
  const migrations = readMigrationFiles({ migrationsFolder: MIGRATIONS });
  await inTransaction(db, async (tx) => {
    await tx.execute(sql`select pg_advisory_xact_lock(${ADVISORY_LOCKS.migrations})`);
    await tx.execute(sql`create schema if not exists drizzle`);
    await tx.execute(
      sql`create table if not exists drizzle.__drizzle_migrations (id serial primary key, hash text not null, created_at bigint)`,
    );
    const { rows } = await tx.execute<{ created_at: string }>(sql`select created_at from drizzle.__drizzle_migrations`);
    const applied = new Set(rows.map((row) => Number(row.created_at)));
    const pending = migrations.filter(({ folderMillis }) => !applied.has(folderMillis));
    if (pending.length === 0) return;
    // Without parameters it is one query of the simple protocol, which may hold many statements.
    await tx.execute(sql.raw(pending.flatMap((migration) => migration.sql).join('\n')));
    const done = pending.map(({ hash, folderMillis }) => sql`(${hash}, ${folderMillis})`);
    await tx.execute(
      sql`insert into drizzle.__drizzle_migrations (hash, created_at) values ${sql.join(done, sql`, `)}`,
    );
  });
}
