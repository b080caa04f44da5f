import type { Socket } from 'node:net';
import { Logger } from '@nestjs/common';
import { drizzle, type NodePgDatabase } from 'drizzle-orm/node-postgres';
import { Pool, type PoolClient } from 'pg';
import { OutageLog } from '#service';

/** The database itself or a transaction. */
export type Queries = NodePgDatabase;
export type Database = NodePgDatabase & { $client: Pool };

export interface DatabaseOptions {
  /** Default 10. */
  connections?: number;
  /** Timeout for getting a connection from the pool; default 5 s. */
  connectTimeoutMs?: number;
  /** Timeout of one statement; default 5 s. */
  statementTimeoutMs?: number;
}

/** The client waits longer than the server by this much: the server's timeout has the better error. */
const ANSWER_GRACE_MS = 1_000;

/**
 * A pool that opens connections when needed; close it with `db.$client.end()`.
 *
 * All connections may share one session (PGlite does), so use no session state: no `SET`, no session advisory locks, no
 * `LISTEN`, no named statements but those of `PreparedStatement`. Transactions and `pg_advisory_xact_lock` are safe.
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
    // A process that is suspended in a transaction holds its locks for this long at most.
    idle_in_transaction_session_timeout: statementTimeoutMs,
    keepAlive: true,
  });
  surviveLostConnections(pool);
  breakSilentConnections(pool, statementTimeoutMs + ANSWER_GRACE_MS);
  return drizzle(pool);
}

/** A server that stops breaks all connections at once: log it once, and do not crash. */
function surviveLostConnections(pool: Pool): void {
  const texts = { failed: 'postgres connection lost', recovered: 'postgres connected again' };
  const outage = new OutageLog(new Logger('postgres'), texts);
  pool.on('error', (error) => outage.failed({ err: error }));
  pool.on('connect', (client) => {
    outage.recovered();
    // The pool listens to idle clients only. Without a listener, losing a client in use would end the process.
    client.on('error', () => {});
  });
}

/**
 * Breaks a connection in use that was silent for `silentMs`: the server or the network to it is down.
 *
 * Not pg's `query_timeout`: it assigns a function to a property for each query, and V8 allocates such functions in the
 * old generation. Only a major collection frees them, and until then each one retains its query.
 */
function breakSilentConnections(pool: Pool, silentMs: number): void {
  const socketOf = ({ connection }: PoolClient): Socket => connection.stream as Socket;
  pool.on('connect', (client) => {
    const socket = socketOf(client);
    socket.on('timeout', () => socket.destroy(new Error(`Postgres did not answer within ${silentMs} ms`)));
  });
  pool.on('acquire', (client) => socketOf(client).setTimeout(silentMs));
  pool.on('release', (_error, client) => socketOf(client).setTimeout(0));
}
