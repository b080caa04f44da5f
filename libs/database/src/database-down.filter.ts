import { type ArgumentsHost, Catch, type ExceptionFilter, Logger } from '@nestjs/common';
import { DrizzleQueryError } from 'drizzle-orm';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { ProblemException, sendProblem } from '#service';
import { databaseReason, isRefusedQuery } from './database-error.js';

const RETRY_AFTER_MS = 1_000;
const WARN_EVERY_MS = 1_000;

/**
 * For controllers: answers 503 `unavailable` while the database is down, and 500 to a query that it refuses, which is a
 * bug. Logs the query without its parameters, which Drizzle puts into the message of the error: they may be secrets.
 */
@Catch(DrizzleQueryError)
export class DatabaseDownFilter implements ExceptionFilter<DrizzleQueryError> {
  private readonly logger = new Logger('postgres');
  private warnedAt = Number.NEGATIVE_INFINITY;

  catch(error: DrizzleQueryError, host: ArgumentsHost): void {
    const request = host.switchToHttp().getRequest<FastifyRequest>();
    const reply = host.switchToHttp().getResponse<FastifyReply>();
    const fields = { requestId: request.id, query: error.query, reason: databaseReason(error) };
    if (isRefusedQuery(error)) {
      this.logger.error('query refused', fields);
      const detail = 'Try again. If it fails again, report the request id.';
      return sendProblem(request, reply, new ProblemException('internal_error', detail));
    }
    this.warnOncePerSecond(fields);
    const problem = new ProblemException('unavailable', 'The database is not available. Try again.', {
      retryAfterMs: RETRY_AFTER_MS,
    });
    sendProblem(request, reply, problem);
  }

  /** While the database is down, every request ends here. */
  private warnOncePerSecond(fields: object): void {
    if (performance.now() - this.warnedAt < WARN_EVERY_MS) return;
    this.warnedAt = performance.now();
    this.logger.warn('database is not available', fields);
  }
}
