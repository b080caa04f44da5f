import { Injectable } from '@nestjs/common';
import { and, eq, inArray, isNull, ne, type SQL, sql } from 'drizzle-orm';
import { apiKeys, type Database, InjectDatabase, inTransaction, type Queries, sessions } from '#database';
import type { Client } from '../client.js';
import { SecurityLog } from '../security-log/security-log.service.js';
import { RevokedAccess } from './revoked-access.service.js';

/** Ends sessions, so that every pod refuses their access tokens. */
@Injectable()
export class EndSessions {
  constructor(
    @InjectDatabase() private readonly db: Database,
    private readonly revokedAccess: RevokedAccess,
    private readonly log: SecurityLog,
  ) {}

  /** Ends one session, for the reason `event`. @returns whether it was live */
  async one(
    condition: SQL | undefined,
    { event, client }: { event: 'logout' | 'session_ended' | 'refresh_token_reused'; client: Client },
  ): Promise<boolean> {
    const ended = await inTransaction(this.db, async (tx) => {
      const rows = await tx
        .update(sessions)
        .set({ revokedAt: sql`now()` })
        .where(and(condition, isNull(sessions.revokedAt)))
        .returning({ accessId: sessions.accessId, accountId: sessions.accountId });
      await this.revokedAccess.record(tx, accessIdsOf(rows));
      return rows;
    });
    await this.revokedAccess.announce(accessIdsOf(ended));
    for (const { accountId } of ended) {
      // A reused refresh token does not show which of its two holders is the account's owner.
      const actor = event === 'refresh_token_reused' ? { client } : { accountId, client };
      await this.log.record({ event, actor, accountId });
    }
    return ended.length > 0;
  }

  /**
   * Revokes all access tokens of an account and, with `ended`, its refresh tokens, in the transaction that changes the
   * account. Its API keys stay: every pod looks their rights up again.
   * @param except the access id of a session that goes on
   * @returns access ids that the caller must announce after the commit
   */
  async ofAccount(
    tx: Queries,
    { accountId, ended, except }: { accountId: string; ended: boolean; except?: string },
  ): Promise<string[]> {
    const isOther = except === undefined ? undefined : ne(sessions.accessId, except);
    const live = await tx
      .select({ id: sessions.id, accessId: sessions.accessId })
      .from(sessions)
      .where(and(eq(sessions.accountId, accountId), isNull(sessions.revokedAt), isOther))
      .for('update');
    const ids = live.map((session) => session.id);
    const change = ended ? { revokedAt: sql`now()` } : { accessId: sql`gen_random_uuid()` };
    if (ids.length > 0) await tx.update(sessions).set(change).where(inArray(sessions.id, ids));
    const keys = await tx.select({ id: apiKeys.id }).from(apiKeys).where(eq(apiKeys.accountId, accountId));
    const accessIds = [...accessIdsOf(live), ...keys.map((key) => key.id)];
    await this.revokedAccess.record(tx, accessIds);
    return accessIds;
  }

  announce(accessIds: string[]): Promise<void> {
    return this.revokedAccess.announce(accessIds);
  }
}

function accessIdsOf(rows: readonly { accessId: string }[]): string[] {
  return rows.map((row) => row.accessId);
}
