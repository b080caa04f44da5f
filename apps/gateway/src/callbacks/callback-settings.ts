import { z } from 'zod';
import { flag } from '#service';

/** Standard Webhooks asks for 24 to 64 random bytes. */
const SECRET_BYTES = { min: 24, max: 64 };
const SECRET_RULE = `must be whsec_ and ${SECRET_BYTES.min} to ${SECRET_BYTES.max} bytes in base64, comma separated`;
const HOST_RULE = 'must be host names such as hooks.example.com or *.example.com, comma separated';

export const callbackSettings = {
  /** Decoded signing keys. Callbacks carry a signature of each key, so that receivers can switch from one to the next. */
  CALLBACK_SECRETS: z
    .string()
    .default('')
    .transform(listed)
    .refine((secrets) => secrets.every(isSecret), SECRET_RULE)
    .transform((secrets) => secrets.map(keyOf)),
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

function listed(text: string): string[] {
  return text.split(/[\s,]+/).filter((part) => part !== '');
}

function isSecret(secret: string): boolean {
  if (!/^whsec_[A-Za-z0-9+/]+={0,2}$/.test(secret)) return false;
  const { length } = keyOf(secret);
  return length >= SECRET_BYTES.min && length <= SECRET_BYTES.max;
}

function keyOf(secret: string): Buffer {
  return Buffer.from(secret.slice('whsec_'.length), 'base64');
}

function isHostPattern(host: string): boolean {
  return /^(\*\.)?[a-z0-9_]([a-z0-9._-]*[a-z0-9_])?$/.test(host);
}
