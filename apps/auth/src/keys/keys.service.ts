import { Injectable } from '@nestjs/common';
import { and, count, desc, eq } from 'drizzle-orm';
import { hashOfApiKey, newApiKey, prefixOfApiKey } from '#access-token';
import type { ApiKeyList, CreatedApiKey, ListedApiKey, NewApiKey } from '#contracts';
import { accounts, apiKeys, type Database, InjectDatabase, inTransaction, type Queries } from '#database';
import { ProblemException } from '#service';
import { RevokedAccess } from '../sessions/revoked-access.service.js';

const KEYS_MAX = 20;

@Injectable()
export class KeysService {
  constructor(
    @InjectDatabase() private readonly db: Database,
    private readonly revokedAccess: RevokedAccess,
  ) {}

  /** @throws ProblemException invalid_request when the account has 20 keys, unauthenticated when it was disabled */
  async create(accountId: string, { name, expiresAt }: NewApiKey): Promise<CreatedApiKey> {
    const key = newApiKey();
    const row = { accountId, name, expiresAt, hash: hashOfApiKey(key), prefix: prefixOfApiKey(key) };
    return inTransaction(this.db, async (tx) => {
      await requireRoom(tx, accountId);
      const [created] = await tx.insert(apiKeys).values(row).returning({ id: apiKeys.id });
      if (created === undefined) throw new Error('the insert of an API key returned no row');
      return { id: created.id, name, key };
    });
  }

  async list(accountId: string): Promise<ApiKeyList> {
    const rows = await this.db
      .select()
      .from(apiKeys)
      .where(eq(apiKeys.accountId, accountId))
      .orderBy(desc(apiKeys.createdAt), desc(apiKeys.id));
    return { items: rows.map(listedKeyOf) };
  }

  /** @returns whether the account had this key. It is refused by every pod then. */
  async delete({ id, accountId }: { id: string; accountId: string }): Promise<boolean> {
    const deleted = await inTransaction(this.db, async (tx) => {
      const isOwn = and(eq(apiKeys.id, id), eq(apiKeys.accountId, accountId));
      const rows = await tx.delete(apiKeys).where(isOwn).returning({ id: apiKeys.id });
      const ids = rows.map((row) => row.id);
      await this.revokedAccess.record(tx, ids);
      return ids;
    });
    await this.revokedAccess.announce(deleted);
    return deleted.length > 0;
  }
}

/** Locks the account, so that concurrent requests count each other's keys. */
async function requireRoom(tx: Queries, accountId: string): Promise<void> {
  const isEnabled = and(eq(accounts.id, accountId), eq(accounts.disabled, false));
  const [account] = await tx.select({ id: accounts.id }).from(accounts).where(isEnabled).for('update');
  if (account === undefined) throw new ProblemException('unauthenticated', 'The account was deleted or disabled.');
  const [keys] = await tx.select({ total: count() }).from(apiKeys).where(eq(apiKeys.accountId, accountId));
  if (keys !== undefined && keys.total >= KEYS_MAX) {
    throw new ProblemException('invalid_request', `This account has ${KEYS_MAX} API keys. Delete one of them first.`);
  }
}

function listedKeyOf({ id, name, prefix, ...times }: typeof apiKeys.$inferSelect): ListedApiKey {
  const { createdAt, expiresAt, lastUsedAt } = times;
  return {
    id,
    name,
    prefix,
    createdAt: createdAt.toISOString(),
    expiresAt: expiresAt?.toISOString() ?? null,
    lastUsedAt: lastUsedAt?.toISOString() ?? null,
  };
}
