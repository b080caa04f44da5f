import { parseOptions } from '@node-rs/argon2';
import { describe, expect, it } from '@jest/globals';
import { hashPassword, isPasswordOf } from './passwords.js';

describe('passwords', () => {
  it('are stored as Argon2id with the parameters OWASP recommends', async () => {
    const stored = await hashPassword('correct horse');
    expect(stored).toMatch(/^\$argon2id\$/);
    expect(parseOptions(stored)).toMatchObject({ memoryCost: 19_456, timeCost: 2, parallelism: 1 });
  });

  it('are right or wrong, and never right without an account', async () => {
    const stored = await hashPassword('correct horse');
    expect(await isPasswordOf(stored, 'correct horse')).toBe(true);
    expect(await isPasswordOf(stored, 'wrong horse')).toBe(false);
    expect(await isPasswordOf(undefined, 'correct horse')).toBe(false);
  });

  it('are all answered, however many come at once', async () => {
    const hashes = await Promise.all(Array.from({ length: 12 }, () => hashPassword('correct horse')));
    expect(new Set(hashes).size).toBe(12);
  });
});
