import { DrizzleQueryError, sql } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/node-postgres';
import type { PoolClient } from 'pg';
import type { Database, Queries } from './open-database.js';

/**
 * Runs `work` in one transaction (read committed): commits when it returns, rolls back when it throws. Inside, use only
 * the given `Queries`: a query through the pool would wait forever on an engine with a single session.
 *
 * Replaces Drizzle's `db.transaction`, which leaks its connection when `begin` fails: ten such failures during a restart
 * of the server would exhaust the pool.
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
    // Destroys the connection, whose state is unknown. The caller throws the original error.
    client.release(true);
  }
}
