import { parseOptions } from '@node-rs/argon2';
import { describe, expect, it } from '@jest/globals';
import { hashPassword, isPasswordOf } from './passwords.js';

describe('passwords', () => {
  it('are hashed by Argon2id with the parameters that OWASP recommends', async () => {
    const stored = await hashPassword('correct horse');
    expect(stored).toMatch(/^\$argon2id\$/);
    expect(parseOptions(stored)).toMatchObject({ memoryCost: 19_456, timeCost: 2, parallelism: 1 });
  });

  it('are compared, and any password without an account is rejected', async () => {
    const stored = await hashPassword('correct horse');
    expect(await isPasswordOf(stored, 'correct horse')).toBe(true);
    expect(await isPasswordOf(stored, 'wrong horse')).toBe(false);
    expect(await isPasswordOf(undefined, 'correct horse')).toBe(false);
  });

  it('are all hashed when many arrive at once', async () => {
    const hashes = await Promise.all(Array.from({ length: 12 }, () => hashPassword('correct horse')));
    expect(new Set(hashes).size).toBe(12);
  });
});
