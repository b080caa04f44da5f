import type { NestFastifyApplication } from '@nestjs/platform-fastify';

/** No answer under /auth may stay in a cache, errors included. */
export function keepAnswersPrivate(app: NestFastifyApplication): void {
  const fastify = app.getHttpAdapter().getInstance();
  fastify.addHook('onRequest', (request, reply, done) => {
    if (request.url.startsWith('/auth')) reply.header('cache-control', 'no-store');
    done();
  });
}
