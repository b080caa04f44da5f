import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eq, sql } from 'drizzle-orm';
import { accounts, apiKeys, type Database, migrate, openDatabase, revokedAccess } from '#database';
import { startPostgres } from '../../../verification/engines/suite-postgres.js';
import { waitUntil } from '../../../tools/stack/wait-until.js';
import { hashOfApiKey, newApiKey } from '../src/api-key.js';
import { ApiKeys } from '../src/api-keys.js';
import { StoredAccess } from '../src/stored-access.js';

let postgres: Awaited<ReturnType<typeof startPostgres>>;
let db: Database;
beforeAll(async () => {
  postgres = await startPostgres();
  db = openDatabase(postgres.url, { connections: 2 });
  await migrate(db);
});
afterAll(async () => {
  await db.$client.end();
  await postgres.stop();
});

/** A row in the table, for an account of its own. */
async function newKey(key: { expiresAt?: Date } = {}, account: { paidAccess?: boolean; role?: 'admin' } = {}) {
  const row = { email: `${randomUUID()}@example.com`, passwordHash: 'none', ...account };
  const [{ id: accountId } = { id: '' }] = await db.insert(accounts).values(row).returning({ id: accounts.id });
  const text = newApiKey();
  const stored = { accountId, name: 'test', hash: hashOfApiKey(text), prefix: 'octo_', ...key };
  const [{ id } = { id: '' }] = await db.insert(apiKeys).values(stored).returning({ id: apiKeys.id });
  return { key: text, id, accountId };
}

async function lastUseOf(id: string): Promise<Date | null | undefined> {
  const [row] = await db.select({ lastUsedAt: apiKeys.lastUsedAt }).from(apiKeys).where(eq(apiKeys.id, id));
  return row?.lastUsedAt;
}

/** Counts the queries of what it makes. */
function countingKeys(revocations = { hasHeardSince: () => false }) {
  let lookups = 0;
  const stored = new StoredAccess(db);
  const findKey = (hash: string) => {
    lookups += 1;
    return stored.findKey(hash);
  };
  return { keys: new ApiKeys({ findKey }, revocations), lookups: () => lookups };
}

describe('StoredAccess', () => {
  it('tells revoked sessions from others, many at once', async () => {
    const ids = Array.from({ length: 50 }, () => randomUUID());
    const revoked = ids.filter((_, i) => i % 2 === 0);
    await db
      .insert(revokedAccess)
      .values(revoked.map((accessId) => ({ accessId, expiresAt: new Date(Date.now() + 60_000) })));
    const stored = new StoredAccess(db);
    const answers = await Promise.all(ids.map((id) => stored.isRevoked(id)));
    expect(answers).toEqual(ids.map((_, i) => i % 2 === 0));
  });

  it('fails while Postgres cannot be reached', async () => {
    const unreachable = openDatabase('postgres://127.0.0.1:1/none', { connectTimeoutMs: 500 });
    const stored = new StoredAccess(unreachable);
    await expect(stored.isRevoked(randomUUID())).rejects.toThrow('the query failed');
    await unreachable.$client.end();
  });

  it('records the last use of a key once a minute', async () => {
    const { key, id } = await newKey();
    const stored = new StoredAccess(db);
    const use = () => stored.findKey(hashOfApiKey(key));
    await use();
    await waitUntil(async () => (await lastUseOf(id)) !== null, { what: 'the first use is recorded' });
    const first = await lastUseOf(id);
    await use();
    await use();
    expect(await lastUseOf(id)).toEqual(first);
    await db.execute(sql`update api_keys set last_used_at = now() - interval '61 s' where id = ${id}`);
    const aged = await lastUseOf(id);
    await use();
    await waitUntil(async () => (await lastUseOf(id))?.getTime() !== aged?.getTime(), {
      what: 'the next use is recorded',
    });
  });
});

describe('ApiKeys', () => {
  it('finds the account of a key, with its rights of now and without admin rights', async () => {
    const { key, id, accountId } = await newKey({}, { paidAccess: false, role: 'admin' });
    const { keys } = countingKeys();
    const caller = { accountId, paidAccess: false, role: 'user', credential: 'key', sessionId: id, expiresAt: null };
    expect(await keys.verify(key)).toMatchObject({ outcome: 'valid', caller });
    await db.update(accounts).set({ paidAccess: true }).where(eq(accounts.id, accountId));
    expect(await keys.verify(key)).toMatchObject({ outcome: 'valid', caller: { paidAccess: true } });
  });

  it('refuses the key of a disabled account, an expired key and a deleted one, and records no use of them', async () => {
    const [disabled, expired, deleted] = await Promise.all([
      newKey(),
      newKey({ expiresAt: new Date(Date.now() - 1_000) }),
      newKey(),
    ]);
    await db.update(accounts).set({ disabled: true }).where(eq(accounts.id, disabled.accountId));
    await db.delete(apiKeys).where(eq(apiKeys.id, deleted.id));
    const { keys } = countingKeys();
    expect(await keys.verify(disabled.key)).toEqual({ outcome: 'refused', reason: 'revoked' });
    expect(await keys.verify(expired.key)).toEqual({ outcome: 'refused', reason: 'expired' });
    expect(await keys.verify(deleted.key)).toEqual({ outcome: 'refused', reason: 'invalid' });
    expect(await Promise.all([disabled, expired].map(({ id }) => lastUseOf(id)))).toEqual([null, null]);
  });

  it('accepts a disabled account again as soon as it is enabled', async () => {
    const { key, accountId } = await newKey();
    const { keys } = countingKeys();
    await db.update(accounts).set({ disabled: true }).where(eq(accounts.id, accountId));
    expect(await keys.verify(key)).toMatchObject({ outcome: 'refused' });
    await db.update(accounts).set({ disabled: false }).where(eq(accounts.id, accountId));
    expect(await keys.verify(key)).toMatchObject({ outcome: 'valid' });
  });

  it('asks nothing about malformed keys, and once about an unknown one', async () => {
    const { keys, lookups } = countingKeys();
    const unknown = newApiKey();
    for (const key of ['octo_', `octo_${'a'.repeat(49)}`, unknown, unknown, unknown]) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      expect(await keys.verify(key)).toEqual({ outcome: 'refused', reason: 'invalid' });
    }
    expect(lookups()).toBe(1);
  });

  it('looks a key up again when it changed during the lookup', async () => {
    const { key } = await newKey();
    let hasChanged = true;
    const { keys, lookups } = countingKeys({ hasHeardSince: () => hasChanged && !(hasChanged = false) });
    expect(await keys.verify(key)).toMatchObject({ outcome: 'valid' });
    expect(lookups()).toBe(2);
  });
});
