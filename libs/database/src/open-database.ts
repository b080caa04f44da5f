import type { Socket } from 'node:net';
import { Logger } from '@nestjs/common';
import { drizzle, type NodePgDatabase } from 'drizzle-orm/node-postgres';
import { Pool, type PoolClient } from 'pg';

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
    // A process that is stopped amid a transaction holds its locks no longer than that.
    idle_in_transaction_session_timeout: statementTimeoutMs,
    keepAlive: true,
  });
  surviveLostConnections(pool);
  breakSilentConnections(pool, statementTimeoutMs + ANSWER_GRACE_MS);
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

/**
 * Breaks a connection that is in use and on which nothing came or went for so long: its server is gone, or the way to it.
 *
 * Not pg's `query_timeout`, which assigns a function to a property for each query. V8 takes such functions for ones that
 * will last and makes them where only a major collection looks; until then each of them keeps what its query was for.
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
