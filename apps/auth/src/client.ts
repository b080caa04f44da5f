import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Caller } from '#access-token';
import { ProblemException } from '#service';

/** What sends a request. */
export interface Client {
  address: string;
  userAgent: string | undefined;
  requestId: string;
  /** Aborts when the client disconnects. */
  gone: AbortSignal;
}

/** Parameter decorator: the `Client` of the request. */
export const RequestClient = createParamDecorator((_: undefined, context: ExecutionContext): Client => {
  const http = context.switchToHttp();
  const request = http.getRequest<FastifyRequest>();
  const disconnected = new AbortController();
  http.getResponse<FastifyReply>().raw.once('close', () => disconnected.abort());
  const { ip, id, headers } = request;
  return { address: ip, requestId: id, userAgent: headers['user-agent'], gone: disconnected.signal };
});

/**
 * Parameter decorator: the caller of a session; needs `AccessTokenGuard`. An API key is refused: a stolen one must not
 * take over its account.
 */
export const SessionCaller = createParamDecorator((_: undefined, context: ExecutionContext): Caller => {
  const { caller } = context.switchToHttp().getRequest<FastifyRequest>();
  if (caller?.credential === 'session') return caller;
  throw new ProblemException('forbidden', 'An API key cannot do this. Log in.');
});
