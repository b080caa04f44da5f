import httpProxy, { type FastifyHttpProxyOptions } from '@fastify/http-proxy';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { ProblemException, sendProblem } from '#service';

const TIMEOUT_MS = 10_000;

/** One public origin: accounts and keys are reached through the gateway, so cookies need no CORS. */
export async function forwardToAuth(app: NestFastifyApplication, authUrl: string): Promise<void> {
  const fastify: FastifyInstance = app.getHttpAdapter().getInstance();
  await fastify.register(async (scope) => {
    // Bodies go through untouched: the proxy brings parsers of its own.
    scope.removeAllContentTypeParsers();
    for (const prefix of ['/auth', '/.well-known/jwks.json'])
      await scope.register(httpProxy, forwardTo(authUrl, prefix));
  });
}

function forwardTo(authUrl: string, prefix: string): FastifyHttpProxyOptions {
  return {
    upstream: authUrl,
    prefix,
    rewritePrefix: prefix,
    undici: { headersTimeout: TIMEOUT_MS, bodyTimeout: TIMEOUT_MS, connect: { timeout: 1_000 } },
    replyOptions: {
      rewriteRequestHeaders: (request, headers) => ({
        ...headers,
        'x-request-id': request.id,
        'x-forwarded-for': request.ip,
        'x-forwarded-proto': request.protocol,
      }),
      onError: (reply) => unreachable(reply.request as FastifyRequest, reply as FastifyReply),
    },
  };
}

function unreachable(request: FastifyRequest, reply: FastifyReply): void {
  const detail = 'Accounts cannot be reached at the moment. Try again.';
  sendProblem(request, reply, new ProblemException('unavailable', detail, { retryAfterMs: 1_000 }));
}
