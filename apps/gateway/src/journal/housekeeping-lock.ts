import { sql } from 'drizzle-orm';
import { z } from 'zod';
import { ADVISORY_LOCKS, type Database, inTransaction, type Queries } from '#database';

const lockSchema = z.tuple([z.object({ is_ours: z.boolean() })]);

/**
 * Does housekeeping in one transaction; skipped while another pod holds the lock. Inside, query only the given `Queries`.
 * @returns undefined when it was skipped
 */
export async function withHousekeepingLock<Result>(
  db: Database,
  work: (tx: Queries) => Promise<Result>,
): Promise<Result | undefined> {
  return inTransaction(db, async (tx) => {
    const { rows } = await tx.execute(sql`select pg_try_advisory_xact_lock(${ADVISORY_LOCKS.housekeeping}) as is_ours`);
    const [{ is_ours: isOurs }] = lockSchema.parse(rows);
    return isOurs ? work(tx) : undefined;
  });
}
