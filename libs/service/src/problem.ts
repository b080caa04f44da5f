import { type ArgumentsHost, Catch, type ExceptionFilter, HttpException, Logger } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { PROBLEMS, type Problem, type ProblemCode } from '#contracts';

export interface ProblemExtra {
  errors?: Problem['errors'];
  freeReopensAt?: string;
  /** Sent as `Retry-After`, rounded up to whole seconds. */
  retryAfterMs?: number;
  cause?: unknown;
}

/** An error the caller is told about. `detail` says what to do. */
export class ProblemException extends Error {
  constructor(
    readonly code: ProblemCode,
    readonly detail: string,
    readonly extra: ProblemExtra = {},
  ) {
    super(`${code}: ${detail}`, { cause: extra.cause });
    this.name = 'ProblemException';
  }
}

/** Which codes stand for a body that cannot be read or is too long: the gateway's bodies are messages. */
export interface BodyProblems {
  invalid: ProblemCode;
  tooLarge: ProblemCode;
}

/** Turns whatever was thrown into `application/problem+json` (RFC 9457). Unknown errors are logged and shown as 500. */
@Catch()
export class ProblemFilter implements ExceptionFilter {
  private readonly logger = new Logger('http');

  constructor(private readonly bodyProblems: BodyProblems) {}

  catch(error: unknown, host: ArgumentsHost): void {
    const request = host.switchToHttp().getRequest<FastifyRequest>();
    const reply = host.switchToHttp().getResponse<FastifyReply>();
    const problem = this.toProblem(error);
    if (PROBLEMS[problem.code][0] === 500) {
      this.logger.error('request failed', { requestId: request.id, err: error });
    }
    sendProblem(request, reply, problem);
  }

  private toProblem(error: unknown): ProblemException {
    if (error instanceof ProblemException) return error;
    if (!(error instanceof HttpException)) {
      return new ProblemException('internal_error', 'Try again; if it stays, report the request id.', { cause: error });
    }
    switch (error.getStatus()) {
      case 404:
        return new ProblemException('not_found', 'There is nothing at this address.');
      case 405:
        return new ProblemException('method_not_allowed', 'This address does not know that method.');
      case 413:
        return new ProblemException(this.bodyProblems.tooLarge, 'Send a smaller body.');
      case 415:
        return new ProblemException('unsupported_media_type', 'Send JSON with Content-Type: application/json.');
      default:
        return error.getStatus() < 500
          ? new ProblemException(this.bodyProblems.invalid, 'The request could not be read.', { cause: error })
          : new ProblemException('internal_error', 'Try again; if it stays, report the request id.', { cause: error });
    }
  }
}

export function sendProblem(request: FastifyRequest, reply: FastifyReply, problem: ProblemException): void {
  const [status, title] = PROBLEMS[problem.code];
  const { retryAfterMs, errors, freeReopensAt } = problem.extra;
  const body: Problem = {
    type: `urn:octo:problem:${problem.code}`,
    title,
    status,
    detail: problem.detail,
    instance: request.url.split('?', 1)[0] ?? '/',
    code: problem.code,
    requestId: request.id,
    ...(errors && { errors }),
    ...(freeReopensAt && { freeReopensAt }),
  };
  if (retryAfterMs !== undefined) reply.header('retry-after', String(Math.max(1, Math.ceil(retryAfterMs / 1000))));
  reply.status(status).header('content-type', 'application/problem+json').send(JSON.stringify(body));
}
