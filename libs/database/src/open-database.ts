import { Logger } from '@nestjs/common';
import { drizzle, type NodePgDatabase } from 'drizzle-orm/node-postgres';
import { Pool } from 'pg';

/** What queries are made on: the database itself, or a transaction. */
export type Queries = NodePgDatabase;
export type Database = NodePgDatabase & { $client: Pool };

export interface DatabaseOptions {
  /** Most connections at once; default 10. */
  connections?: number;
  /** Longest wait for a connection, new or given back; default 5 s. */
  connectTimeoutMs?: number;
  /** Longest run of one statement; default 5 s. */
  statementTimeoutMs?: number;
}

/** How much longer than the server we wait for the answer: its own timeout comes first, with the better error. */
const ANSWER_GRACE_MS = 1_000;

/**
 * A pool of connections that are opened when needed; close it with `db.$client.end()`.
 *
 * The engine may share one session among all connections (PGlite does), so no session state anywhere: no `SET`, no
 * session advisory locks, no `LISTEN`, no named statements but those of `PreparedStatement`. Transactions and
 * `pg_advisory_xact_lock` are safe.
 */
export function openDatabase(
  url: string,
  { connections = 10, connectTimeoutMs = 5_000, statementTimeoutMs = 5_000 }: DatabaseOptions = {},
): Database {
  const pool = new Pool({
    connectionString: url,
    max: connections,
    connectionTimeoutMillis: connectTimeoutMs,
    statement_timeout: statementTimeoutMs,
    query_timeout: statementTimeoutMs + ANSWER_GRACE_MS,
    // A process that is stopped amid a transaction holds its locks no longer than that.
    idle_in_transaction_session_timeout: statementTimeoutMs,
    keepAlive: true,
  });
  surviveLostConnections(pool);
  return drizzle(pool);
}

/** A lost server breaks every connection at once; one line says it. */
function surviveLostConnections(pool: Pool): void {
  const logger = new Logger('postgres');
  let lost = false;
  pool.on('error', (error) => {
    if (!lost) logger.warn('connection lost', { err: error });
    lost = true;
  });
  pool.on('connect', (client) => {
    if (lost) logger.log('connected again');
    lost = false;
    // While it is lent out the pool does not listen; without a listener its loss would end the process.
    client.on('error', () => {});
  });
}
