import { z } from 'zod';
import { listed } from '#service';

const PREFIX = 'whsec_';
/** Standard Webhooks asks for 24 to 64 random bytes. */
const SECRET_BYTES = { min: 24, max: 64 };
const SECRET_RULE = `must be ${PREFIX} and ${SECRET_BYTES.min} to ${SECRET_BYTES.max} bytes in base64, comma separated`;

/** A setting with secrets of Standard Webhooks 1.0, comma separated; its value is the decoded keys. */
export function signingSecrets() {
  return z
    .string()
    .default('')
    .transform(listed)
    .refine((secrets) => secrets.every(isSecret), SECRET_RULE)
    .transform((secrets) => secrets.map(keyOf));
}

/** The secret with which a receiver verifies signatures of the key. */
export function secretOf(key: Buffer): string {
  return `${PREFIX}${key.toString('base64')}`;
}

function isSecret(secret: string): boolean {
  if (!/^whsec_[A-Za-z0-9+/]+={0,2}$/.test(secret)) return false;
  const { length } = keyOf(secret);
  return length >= SECRET_BYTES.min && length <= SECRET_BYTES.max;
}

function keyOf(secret: string): Buffer {
  return Buffer.from(secret.slice(PREFIX.length), 'base64');
}
