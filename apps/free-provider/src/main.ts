import { type Admission, BODY_LIMIT_BYTES, ReferenceProviderModule } from '#reference-provider';
import { runApp } from '#service';
import { CountThenBlock } from './count-then-block.js';
import { freeProviderSettings, type FreeProviderSettings } from './free-provider.settings.js';

const policies: Record<FreeProviderSettings['FREE_POLICY'], (settings: FreeProviderSettings) => Admission> = {
  'count-then-block': (settings) =>
    new CountThenBlock({
      limit: settings.FREE_LIMIT,
      blockMs: settings.FREE_BLOCK_MS,
      sendsHeaders: settings.FREE_RATELIMIT_HEADERS,
    }),
};

await runApp({
  name: 'free-provider',
  settings: freeProviderSettings,
  module: (settings) => ReferenceProviderModule.with(policies[settings.FREE_POLICY](settings)),
  http: () => ({ bodyLimitBytes: BODY_LIMIT_BYTES }),
});
