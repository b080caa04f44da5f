import { z } from 'zod';
import { signingSecrets } from '#callback-secrets';
import { flag, listed } from '#service';

const HOST_RULE = 'must be host names such as hooks.example.com or *.example.com, comma separated';

export const callbackSettings = {
  /**
   * Signing keys of the deployment, for accounts that have no secret of their own. Callbacks carry a signature of each
   * key, so that receivers can switch from one to the next.
   */
  CALLBACK_SECRETS: signingSecrets(),
  /** Master keys: the secrets of accounts derive from them. Callbacks carry a signature of each. */
  CALLBACK_MASTER_SECRETS: signingSecrets(),
  /** Hosts that callbacks may go to; empty allows every public host. */
  CALLBACK_HOSTS: z
    .string()
    .default('')
    .transform((text) => listed(text.toLowerCase()))
    .refine((hosts) => hosts.every(isHostPattern), HOST_RULE),
  /** Allows plain HTTP, and loopback and private addresses. */
  CALLBACK_ALLOW_PRIVATE: flag(false),
};
export type CallbackSettings = z.infer<z.ZodObject<typeof callbackSettings>>;

function isHostPattern(host: string): boolean {
  return /^(\*\.)?[a-z0-9_]([a-z0-9._-]*[a-z0-9_])?$/.test(host);
}
