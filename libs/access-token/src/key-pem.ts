import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { z } from 'zod';

const PRIVATE_RULE = 'must be a private key for ES256: PEM, PKCS #8, curve P-256';
const PUBLIC_RULE = 'must be a key for ES256: PEM, curve P-256';

export function privateKeyPem() {
  return z.string().transform((pem, context) => readKey({ pem, read: createPrivateKey, rule: PRIVATE_RULE }, context));
}

/** Of a private key it takes the public half. */
export function publicKeyPem() {
  return z.string().transform((pem, context) => readKey({ pem, read: createPublicKey, rule: PUBLIC_RULE }, context));
}

interface KeyText {
  pem: string;
  read: (pem: string) => KeyObject;
  rule: string;
}

function readKey({ pem, read, rule }: KeyText, context: z.RefinementCtx): KeyObject {
  try {
    // Many tools cannot put line breaks into environment variables: they write \n.
    const key = read(pem.replaceAll('\\n', '\n'));
    if (key.asymmetricKeyDetails?.namedCurve === 'prime256v1') return key;
  } catch {
    // The rule helps more than OpenSSL's message.
  }
  context.addIssue({ code: 'custom', message: rule });
  return z.NEVER;
}
