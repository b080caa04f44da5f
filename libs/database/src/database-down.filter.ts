import { type ArgumentsHost, Catch, type ExceptionFilter, Logger } from '@nestjs/common';
import { DrizzleQueryError } from 'drizzle-orm';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { DatabaseError } from 'pg';
import { ProblemException, sendProblem } from '#service';

/** How soon a caller should try again. */
const RETRY_AFTER_MS = 1_000;
const WARN_EVERY_MS = 1_000;

/** SQLSTATE classes that speak of the server, not of the query: connection, resources, operator intervention. */
const SERVER_CLASSES = new Set(['08', '53', '57']);

/**
 * For controllers: a database that cannot be asked is 503 `unavailable`; a query it refuses is a bug, and 500.
 * Logs the query without its parameters, which Drizzle puts into the error's message: they may be secrets.
 */
@Catch(DrizzleQueryError)
export class DatabaseDownFilter implements ExceptionFilter<DrizzleQueryError> {
  private readonly logger = new Logger('postgres');
  private warnedAt = Number.NEGATIVE_INFINITY;

  catch(error: DrizzleQueryError, host: ArgumentsHost): void {
    const request = host.switchToHttp().getRequest<FastifyRequest>();
    const reply = host.switchToHttp().getResponse<FastifyReply>();
    const fields = { requestId: request.id, query: error.query, reason: error.cause?.message };
    if (isRefusal(error.cause)) {
      this.logger.error('query refused', fields);
      const detail = 'Try again; if it stays, report the request id.';
      return sendProblem(request, reply, new ProblemException('internal_error', detail));
    }
    this.warnNowAndThen(fields);
    const problem = new ProblemException('unavailable', 'Try again in a moment.', { retryAfterMs: RETRY_AFTER_MS });
    sendProblem(request, reply, problem);
  }

  /** While the database is down every request ends here. */
  private warnNowAndThen(fields: object): void {
    if (performance.now() - this.warnedAt < WARN_EVERY_MS) return;
    this.warnedAt = performance.now();
    this.logger.warn('database cannot be asked', fields);
  }
}

/** The database answered, and the answer was no: a bug of ours, which trying again does not mend. */
export function isRefusal(cause: unknown): boolean {
  return cause instanceof DatabaseError && !SERVER_CLASSES.has(cause.code?.slice(0, 2) ?? '');
}
