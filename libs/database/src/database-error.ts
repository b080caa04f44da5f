import { DrizzleQueryError } from 'drizzle-orm';
import { DatabaseError } from 'pg';

/** SQLSTATE classes about the server, not the query: connection, resources (disk full too), operator intervention. */
const SERVER_CLASSES = new Set(['08', '53', '57']);
/** The server is a standby, or was made read-only after a failover. */
const READ_ONLY = '25006';

/** Postgres answered, and refused the query: a bug of ours, which a retry does not mend. */
export function isRefusal(cause: unknown): boolean {
  if (!(cause instanceof DatabaseError) || cause.code === READ_ONLY) return false;
  return !SERVER_CLASSES.has(cause.code?.slice(0, 2) ?? '');
}

/** A query failed because Postgres cannot be reached, does not answer or cannot write: a retry may succeed. */
export function isDatabaseDown(error: unknown): error is DrizzleQueryError {
  return error instanceof DrizzleQueryError && !isRefusal(error.cause);
}

/** A query failed because of the query itself. */
export function isRefusedQuery(error: unknown): error is DrizzleQueryError {
  return error instanceof DrizzleQueryError && isRefusal(error.cause);
}

/** Why a query failed, fit for logs: Drizzle's own message holds the query's parameters, which may be secrets. */
export function databaseReason(error: unknown): string {
  if (error instanceof DrizzleQueryError) return error.cause?.message ?? 'the query failed';
  return error instanceof Error ? error.message : String(error);
}
