import { sql } from 'drizzle-orm';
import { ADVISORY_LOCKS } from './advisory-locks.js';
import { inTransaction } from './in-transaction.js';
import type { Database, Queries } from './open-database.js';

/** Months before and after the present one: clocks differ, and the only process may have been away for long. */
const FROM_MONTH = -1;
const TO_MONTH = 2;

/** Waiting rows come and go: stale statistics give bad plans, and dead rows slow down the index. */
const VACUUM = 'autovacuum_analyze_scale_factor = 0.01, autovacuum_vacuum_scale_factor = 0.02';

/** Creates the partitions of this month and its neighbours; existing ones stay as they are. */
export async function ensurePartitions(db: Database, now: Date): Promise<void> {
  await inTransaction(db, (tx) => createPartitions(tx, now));
}

/** The same within a transaction. */
export async function createPartitions(tx: Queries, now: Date): Promise<void> {
  await tx.execute(sql`select pg_advisory_xact_lock(${ADVISORY_LOCKS.partitions})`);
  const statements: string[] = [];
  for (let month = FROM_MONTH; month <= TO_MONTH; month += 1) {
    const from = monthOf(now, month);
    const name = `messages_${from.toISOString().slice(0, 7).replace('-', '_')}`;
    const bounds = `from ('${firstIdOf(from)}') to ('${firstIdOf(monthOf(now, month + 1))}')`;
    statements.push(`create table if not exists ${name} partition of messages for values ${bounds} with (${VACUUM})`);
  }
  await tx.execute(sql.raw(statements.join(';\n')));
}

/** The lowest UUID of version 7 from a moment on: its first 48 bits are the time (RFC 9562, 5.7). */
export function firstIdOf(moment: Date): string {
  const hex = moment.getTime().toString(16).padStart(12, '0');
  return `${hex.slice(0, 8)}-${hex.slice(8)}-0000-0000-000000000000`;
}

function monthOf(now: Date, ahead: number): Date {
  return new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + ahead));
}
