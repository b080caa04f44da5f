import { z } from 'zod';
import { currentPasswordSchema } from './accounts.js';

const keySchema = z
  .string()
  .min(1, 'must not be empty')
  .max(200, 'must have at most 200 characters')
  .meta({ description: '`provider/account`, or the name of a provider with one account', example: 'free' });

const stateSchema = z.enum(['enabled', 'drained', 'disabled']).meta({
  description:
    'drained: Octo sends no new message to it, but still resolves messages whose answers were lost; disabled: Octo sends nothing',
});

export const providerSwitchSchema = z
  .object({ key: keySchema, state: stateSchema, changedAt: z.iso.datetime() })
  .meta({ id: 'ProviderSwitch' });
export type ProviderSwitch = z.infer<typeof providerSwitchSchema>;

export const providerSwitchListSchema = z
  .object({ items: z.array(providerSwitchSchema) })
  .meta({ id: 'ProviderSwitchList' });
export type ProviderSwitchList = z.infer<typeof providerSwitchListSchema>;

export const providerSwitchPatchSchema = z
  .strictObject({ key: keySchema, state: stateSchema, currentPassword: currentPasswordSchema.optional() })
  .meta({ id: 'ProviderSwitchPatch', example: { key: 'free', state: 'drained' } });
export type ProviderSwitchPatch = z.infer<typeof providerSwitchPatchSchema>;
