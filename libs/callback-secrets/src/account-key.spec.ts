import { describe, expect, it } from '@jest/globals';
import { randomBytes, randomUUID } from 'node:crypto';
import { accountKey } from './account-key.js';

describe('accountKey', () => {
  const master = randomBytes(32);
  const accountId = randomUUID();

  it('is the same in every process, and of 256 bits', () => {
    const fixed = { accountId: '0797359f-329a-4f96-88de-e1bb597e87fa', version: 3 };
    const key = accountKey(Buffer.alloc(32, 1), fixed);
    // From `openssl dgst -sha256 -mac HMAC`.
    expect(key.toString('hex')).toBe('89bba35785f9898302bc7c92547493e88d9b6b3c8953d0b489c86f6e82dd961e');
  });

  it('differs between accounts, versions and masters', () => {
    const keys = [
      accountKey(master, { accountId, version: 1 }),
      accountKey(master, { accountId, version: 2 }),
      accountKey(master, { accountId, version: 12 }),
      accountKey(master, { accountId: randomUUID(), version: 1 }),
      accountKey(randomBytes(32), { accountId, version: 1 }),
    ];
    expect(new Set(keys.map((key) => key.toString('base64'))).size).toBe(keys.length);
  });
});
