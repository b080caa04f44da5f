import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { AccessTokenGuard } from '#access-token';
import { MessageLimits } from './messages/message-limits.service.js';

/**
 * Reads the body of a request only after its token was verified and its account may send: 1,000 anonymous bodies of the
 * longest size would take 400 MB. The guard of the route verifies the token again if a revocation arrived
 * with the body. Bodies for auth are short and need no token.
 */
export function authenticateBeforeBody(app: NestFastifyApplication): void {
  const fastify: FastifyInstance = app.getHttpAdapter().getInstance();
  const guard = app.get(AccessTokenGuard, { strict: false });
  const limits = app.get(MessageLimits, { strict: false });
  fastify.addHook('onRequest', async (request, reply) => {
    // The route, not the URL: `/%6dessages` and `http://host/messages` lead to the route `/messages` too.
    const { url: route = '' } = request.routeOptions;
    if (!hasBody(request) || route.startsWith('/auth')) return;
    const { accountId } = await guard.authenticate(request, reply);
    if (request.method === 'POST' && route === '/messages') await limits.countRequest(accountId);
  });
}

/** Fastify does not read the body of a GET. */
function hasBody({ method, headers }: FastifyRequest): boolean {
  if (method === 'GET' || method === 'HEAD') return false;
  return headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0';
}
