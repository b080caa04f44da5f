import { MESSAGE_BODY_MAX_BYTES } from '#contracts';
import { ReferenceProviderModule } from '#reference-provider';
import { runApp } from '#service';
import { AlwaysAccept } from './always-accept.js';
import { paidProviderSettings } from './paid-provider.settings.js';

await runApp({
  name: 'paid-provider',
  settings: paidProviderSettings,
  module: (settings) => ReferenceProviderModule.with(new AlwaysAccept(), { control: settings }),
  http: () => ({ bodyLimitBytes: MESSAGE_BODY_MAX_BYTES }),
});
