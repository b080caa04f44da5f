import { MESSAGE_BODY_MAX_BYTES } from '#contracts';
import { runApp } from '#service';
import { serveApiDocs } from './api-docs.js';
import { forwardToAuth } from './auth-proxy.js';
import { authenticateBeforeBody } from './authenticate-before-body.js';
import { observeAnswers } from './console/message-tally.js';
import { serveConsole } from './console/serve-console.js';
import { GatewayModule } from './gateway.module.js';
import { gatewaySettings } from './gateway.settings.js';

await runApp({
  name: 'gateway',
  settings: gatewaySettings,
  module: (settings) => GatewayModule.with(settings),
  http: ({ TRUST_PROXY, PUBLIC_ORIGIN }) => ({
    bodyLimitBytes: MESSAGE_BODY_MAX_BYTES,
    bodyProblems: { invalid: 'invalid_message', tooLarge: 'message_too_large' },
    trustProxy: TRUST_PROXY,
    publicOrigin: PUBLIC_ORIGIN,
    pages: ['/console'],
    inlineStylePages: ['/docs'],
  }),
  configure: async (app, { AUTH_URL }) => {
    authenticateBeforeBody(app);
    await forwardToAuth(app, AUTH_URL);
    serveApiDocs(app, AUTH_URL);
    observeAnswers(app);
    await serveConsole(app);
  },
});
