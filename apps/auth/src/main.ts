import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { describeApi, runApp, serveOpenApi } from '#service';
import { AuthModule } from './auth.module.js';
import { authSettings } from './auth.settings.js';

await runApp({
  name: 'auth',
  settings: authSettings,
  module: (settings) => AuthModule.with(settings),
  http: ({ TRUST_PROXY }) => ({ trustProxy: TRUST_PROXY }),
  configure: (app) => {
    forbidCaching(app);
    serveOpenApi(app, () => describeApi(app));
  },
});

/** Answers under /auth are private; errors too. */
function forbidCaching(app: NestFastifyApplication): void {
  const fastify = app.getHttpAdapter().getInstance();
  fastify.addHook('onRequest', (request, reply, done) => {
    if (request.url.startsWith('/auth')) reply.header('cache-control', 'no-store');
    done();
  });
}
