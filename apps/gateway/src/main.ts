import { MESSAGE_BODY_MAX_BYTES } from '#contracts';
import { runApp } from '#service';
import { serveApiDocs } from './api-docs.js';
import { forwardToAuth } from './auth-proxy.js';
import { GatewayModule } from './gateway.module.js';
import { gatewaySettings } from './gateway.settings.js';

await runApp({
  name: 'gateway',
  settings: gatewaySettings,
  module: (settings) => GatewayModule.with(settings),
  http: ({ TRUST_PROXY }) => ({
    bodyLimitBytes: MESSAGE_BODY_MAX_BYTES,
    bodyProblems: { invalid: 'invalid_message', tooLarge: 'message_too_large' },
    trustProxy: TRUST_PROXY,
  }),
  configure: async (app, { AUTH_URL }) => {
    await forwardToAuth(app, AUTH_URL);
    serveApiDocs(app, AUTH_URL);
  },
});
