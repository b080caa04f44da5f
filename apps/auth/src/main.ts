import { describeApi, runApp, serveOpenApi } from '#service';
import { AuthModule } from './auth.module.js';
import { authSettings } from './auth.settings.js';

await runApp({
  name: 'auth',
  settings: authSettings,
  module: (settings) => AuthModule.with(settings),
  http: ({ TRUST_PROXY, PUBLIC_ORIGIN }) => ({ trustProxy: TRUST_PROXY, publicOrigin: PUBLIC_ORIGIN }),
  configure: (app) => serveOpenApi(app, () => describeApi(app)),
});
