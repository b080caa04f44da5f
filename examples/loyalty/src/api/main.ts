import { runApp } from '#service';
import { ApiModule, apiSettings } from './api.module.js';
import { PROBLEMS } from './problems.js';

await runApp({
  name: 'loyalty',
  settings: apiSettings,
  module: (settings) => ApiModule.with(settings),
  http: ({ PUBLIC_ORIGIN }) => ({ publicOrigin: PUBLIC_ORIGIN, acceptsText: true }),
  docs: { title: 'Loyalty', description: 'Points for orders.', problems: Object.values(PROBLEMS) },
});
