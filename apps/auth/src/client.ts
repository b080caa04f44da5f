import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';

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
