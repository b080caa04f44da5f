import { describeApi, runApp, serveOpenApi } from '#service';
import { AuthModule } from './auth.module.js';
import { authSettings } from './auth.settings.js';
import { keepAnswersPrivate } from './private-answers.js';

await runApp({
  name: 'auth',
  settings: authSettings,
  module: (settings) => AuthModule.with(settings),
  http: ({ TRUST_PROXY }) => ({ trustProxy: TRUST_PROXY }),
  configure: (app) => {
    keepAnswersPrivate(app);
    serveOpenApi(app, () => describeApi(app));
  },
});
