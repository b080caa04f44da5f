import { DrizzleQueryError } from 'drizzle-orm';
import { DatabaseError } from 'pg';

/** SQLSTATE classes about the server, not the query: connection, resources such as the disk, operator intervention. */
const SERVER_CLASSES = new Set(['08', '53', '57']);
/** SQLSTATE of a write to a standby, or to a server made read-only after a failover. */
const READ_ONLY = '25006';

/** Postgres answered and refused the query: a bug, which a retry does not fix. */
export function isRefusal(cause: unknown): boolean {
  if (!(cause instanceof DatabaseError) || cause.code === READ_ONLY) return false;
  return !SERVER_CLASSES.has(cause.code?.slice(0, 2) ?? '');
}

/** The query failed because Postgres is unreachable, silent or read-only: a retry may succeed. */
export function isDatabaseDown(error: unknown): error is DrizzleQueryError {
  return error instanceof DrizzleQueryError && !isRefusal(error.cause);
}

/** Postgres refused the query. */
export function isRefusedQuery(error: unknown): error is DrizzleQueryError {
  return error instanceof DrizzleQueryError && isRefusal(error.cause);
}

/** Reason for the log. Not Drizzle's message: that holds the parameters of the query, which may be secrets. */
export function databaseReason(error: unknown): string {
  if (error instanceof DrizzleQueryError) return error.cause?.message ?? 'the query failed';
  return error instanceof Error ? error.message : String(error);
}
