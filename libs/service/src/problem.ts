import { type ArgumentsHost, Catch, type ExceptionFilter, HttpException, Logger } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { type Attempt, PROBLEMS, type Problem, type ProblemCode } from '#contracts';

export interface ProblemExtra {
  errors?: Problem['errors'];
  freeReopensAt?: string;
  /** The spending limit that is reached. */
  budget?: Problem['budget'];
  /** Id of the message that could not be delivered. */
  id?: string;
  /** What was tried before the problem arose. */
  attempts?: readonly Attempt[];
  /** Sent as `Retry-After`, rounded up to whole seconds. */
  retryAfterMs?: number;
  cause?: unknown;
}

/** A problem of one app, beside those of `PROBLEMS`. */
export interface OwnProblem {
  code: string;
  status: number;
  title: string;
}

export function describeProblem(problem: ProblemCode | OwnProblem): OwnProblem {
  if (typeof problem !== 'string') return problem;
  const [status, title] = PROBLEMS[problem];
  return { code: problem, status, title };
}

/** An error that the caller receives as a problem. `detail` says what to do. */
export class ProblemException extends Error {
  readonly code: string;
  readonly status: number;
  readonly title: string;

  constructor(
    problem: ProblemCode | OwnProblem,
    readonly detail: string,
    readonly extra: ProblemExtra = {},
  ) {
    const { code, status, title } = describeProblem(problem);
    super(`${code}: ${detail}`, { cause: extra.cause });
    this.name = 'ProblemException';
    this.code = code;
    this.status = status;
    this.title = title;
  }
}

/** Codes for a body that is malformed or too long. They differ by app: the gateway's bodies are messages. */
export interface BodyProblems {
  invalid: ProblemCode;
  tooLarge: ProblemCode;
}

/** Turns every error into `application/problem+json` (RFC 9457). Logs unknown errors and answers 500 to them. */
@Catch()
export class ProblemFilter implements ExceptionFilter {
  private readonly logger = new Logger('http');

  constructor(private readonly bodyProblems: BodyProblems) {}

  catch(error: unknown, host: ArgumentsHost): void {
    const request = host.switchToHttp().getRequest<FastifyRequest>();
    const reply = host.switchToHttp().getResponse<FastifyReply>();
    const problem = problemOf(error, this.bodyProblems);
    // An error after the caller has disconnected is not a failure of the app.
    if (problem.status === 500 && !request.raw.socket.destroyed) {
      this.logger.error('request failed', { requestId: request.id, err: error });
    }
    sendProblem(request, reply, problem);
  }
}

/** The problem of an error; `internal_error` for an unknown one. */
export function problemOf(error: unknown, bodyProblems: BodyProblems): ProblemException {
  if (error instanceof ProblemException) return error;
  switch (statusOf(error)) {
    // A path of static files that leads out of their folder.
    case 403:
    case 404:
    // A path parameter is longer than any id.
    case 414:
      return new ProblemException('not_found', 'No resource has this URL.');
    case 405:
      return new ProblemException('method_not_allowed', 'This URL does not support the method.');
    case 408:
      return new ProblemException('request_timeout', 'Send the whole request sooner.');
    case 413:
      return new ProblemException(bodyProblems.tooLarge, 'Send a smaller body.');
    case 415:
      return new ProblemException('unsupported_media_type', 'Send JSON with Content-Type: application/json.');
    case 400:
      return new ProblemException(bodyProblems.invalid, 'Send a well-formed request.', { cause: error });
    default:
      return new ProblemException('internal_error', 'Try again. If it fails again, report the request id.', {
        cause: error,
      });
  }
}

/** Errors of Nest and of Fastify carry their status in different properties. */
function statusOf(error: unknown): number {
  if (error instanceof HttpException) return error.getStatus();
  return typeof error === 'object' && error !== null && 'statusCode' in error ? Number(error.statusCode) : 500;
}

/** An answer does not repeat a longer URL. */
const MAX_INSTANCE_CHARS = 256;

export function sendProblem(request: FastifyRequest, reply: FastifyReply, problem: ProblemException): void {
  const { retryAfterMs } = problem.extra;
  const instance = (request.url.split('?', 1)[0] ?? '/').slice(0, MAX_INSTANCE_CHARS);
  const body = problemBody(problem, { instance, requestId: request.id });
  if (retryAfterMs !== undefined) reply.header('retry-after', String(Math.max(1, Math.ceil(retryAfterMs / 1000))));
  reply
    .status(problem.status)
    .header('x-request-id', request.id)
    .header('content-type', 'application/problem+json')
    .send(JSON.stringify(body));
}

/** `code` may be one of the app's own. */
type ProblemBody = Omit<Problem, 'code'> & { code: string };

export function problemBody(
  { code, status, title, detail, extra }: ProblemException,
  { instance, requestId }: { instance: string; requestId: string },
): ProblemBody {
  const { errors, freeReopensAt, budget, id, attempts } = extra;
  return {
    type: `urn:octo:problem:${code}`,
    title,
    status,
    detail,
    instance,
    code,
    requestId,
    ...(errors && { errors }),
    ...(freeReopensAt && { freeReopensAt }),
    ...(budget && { budget }),
    ...(id && { id }),
    ...(attempts && { attempts: [...attempts] }),
  };
}
