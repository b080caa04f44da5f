import { DrizzleQueryError, sql } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/node-postgres';
import type { PoolClient } from 'pg';
import type { Database, Queries } from './open-database.js';

/**
 * Runs `work` in one transaction (read committed): commits what it did when it returns, rolls back when it throws.
 * Inside, query only the `Queries` it is given; on an engine with a single session the pool would wait for ever.
 *
 * Instead of Drizzle's own `db.transaction`, which never gives the connection back when `begin` fails: ten of those
 * while the server restarts, and the pool is empty for good.
 */
export async function inTransaction<Result>(db: Database, work: (tx: Queries) => Promise<Result>): Promise<Result> {
  const client = await connect(db);
  const tx = drizzle(client);
  try {
    await tx.execute(sql`begin`);
    const result = await work(tx);
    await tx.execute(sql`commit`);
    client.release();
    return result;
  } catch (error) {
    await rollBack(client);
    throw error;
  }
}

async function connect(db: Database): Promise<PoolClient> {
  try {
    return await db.$client.connect();
  } catch (error) {
    throw new DrizzleQueryError('connect', [], error instanceof Error ? error : undefined);
  }
}

async function rollBack(client: PoolClient): Promise<void> {
  try {
    await client.query('rollback');
    client.release();
  } catch {
    // Not worth keeping: what state it is in is unknown. The caller gets the error that brought us here.
    client.release(true);
  }
}
