import { BODY_LIMIT_BYTES, ReferenceProviderModule } from '#reference-provider';
import { runApp } from '#service';
import { AlwaysAccept } from './always-accept.js';
import { paidProviderSettings } from './paid-provider.settings.js';

await runApp({
  name: 'paid-provider',
  settings: paidProviderSettings,
  module: () => ReferenceProviderModule.with(new AlwaysAccept()),
  http: () => ({ bodyLimitBytes: BODY_LIMIT_BYTES }),
});
