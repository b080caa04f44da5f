import { createHmac } from 'node:crypto';

/** For this long after an account has created a secret, the secret before it signs too. */
export const SECRET_OVERLAP_MS = 24 * 3_600_000;

/**
 * The key that signs callbacks of one account: HMAC-SHA256 of account and version under a master key. Postgres holds the
 * version only, so a copy of the database reveals no key, and a key reveals neither the master nor another key.
 * @param version 1 is the account's first secret
 */
export function accountKey(master: Buffer, { accountId, version }: { accountId: string; version: number }): Buffer {
  // Account ids have a fixed length, so no two pairs give the same text.
  return createHmac('sha256', master).update(`octo callback secret ${accountId} ${version}`).digest();
}
