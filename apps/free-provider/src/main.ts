import { MESSAGE_BODY_MAX_BYTES } from '#contracts';
import { ReferenceProviderModule } from '#reference-provider';
import { runApp } from '#service';
import { chooseAdmission } from './choose-admission.js';
import { freeProviderSettings } from './free-provider.settings.js';

await runApp({
  name: 'free-provider',
  settings: freeProviderSettings,
  module: (settings) => ReferenceProviderModule.with(chooseAdmission(settings), { control: settings }),
  http: () => ({ bodyLimitBytes: MESSAGE_BODY_MAX_BYTES }),
});
