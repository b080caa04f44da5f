import { randomUUID } from 'node:crypto';
import { Injectable, Logger } from '@nestjs/common';
import { and, eq, inArray, isNull, type SQL, sql } from 'drizzle-orm';
import { AccessTokenSigner } from '#access-token';
import type { Login } from '#contracts';
import { accounts, apiKeys, type Database, InjectDatabase, inTransaction, type Queries, sessions } from '#database';
import { RefreshTokens, type Rotation, SESSION_END } from './refresh-tokens.js';
import { RevokedAccess } from './revoked-access.service.js';

export interface IssuedSession {
  login: Login;
  accessToken: string;
  refreshToken: string;
}

/** What an access token and a refresh token are issued for. */
interface Grant {
  account: Omit<Login, 'expiresAt'>;
  accessId: string;
  refreshToken: string;
}

const PUBLIC_COLUMNS = {
  id: accounts.id,
  email: accounts.email,
  paidAccess: accounts.paidAccess,
  role: accounts.role,
};

/** Sessions: families of refresh tokens, each descending from one login, and the access tokens issued with them. */
@Injectable()
export class SessionsService {
  private readonly logger = new Logger('sessions');

  constructor(
    @InjectDatabase() private readonly db: Database,
    private readonly signer: AccessTokenSigner,
    private readonly refreshTokens: RefreshTokens,
    private readonly revokedAccess: RevokedAccess,
  ) {}

  /** `undefined` if the account is deleted or disabled. */
  async start(accountId: string): Promise<IssuedSession | undefined> {
    const grant = await inTransaction(this.db, async (tx): Promise<Grant | undefined> => {
      // Serializes with a change of the account: either this session sees the change, or the change sees this session
      // and revokes its tokens.
      const [account] = await tx.select(PUBLIC_COLUMNS).from(accounts).where(isEnabled(accountId)).for('share');
      if (account === undefined) return undefined;
      const session = { id: randomUUID(), accountId, accessId: randomUUID(), expiresAt: SESSION_END };
      await tx.insert(sessions).values(session);
      return { account, accessId: session.accessId, refreshToken: await this.refreshTokens.add(tx, session.id) };
    });
    return grant && this.issue(grant);
  }

  /** Trades a refresh token for new tokens. `undefined` if it is not valid; a reuse revokes its session. */
  async refresh(presented: string): Promise<IssuedSession | undefined> {
    const { rotation, grant } = await inTransaction(this.db, async (tx) => {
      const rotated = await this.refreshTokens.rotate(tx, presented);
      return { rotation: rotated, grant: await extend(tx, rotated) };
    });
    if (rotation.outcome === 'reused') {
      this.logger.warn('refresh token reused, session revoked', { sessionId: rotation.sessionId });
      await this.endWhere(eq(sessions.id, rotation.sessionId));
    }
    return grant && this.issue(grant);
  }

  /** @param accessId the `sid` of an access token. @returns whether that session was live */
  endByAccessId(accessId: string): Promise<boolean> {
    return this.endWhere(eq(sessions.accessId, accessId));
  }

  async endByRefreshToken(refreshToken: string): Promise<void> {
    const sessionId = await this.refreshTokens.sessionOf(this.db, refreshToken);
    if (sessionId !== undefined) await this.endWhere(eq(sessions.id, sessionId));
  }

  /**
   * Revokes all access tokens of an account and, with `ended`, its refresh tokens, in the transaction that changes the
   * account. Its API keys stay: every pod looks their rights up again.
   * @returns access ids that the caller must announce after the commit
   */
  async revokeAccess(tx: Queries, { accountId, ended }: { accountId: string; ended: boolean }): Promise<string[]> {
    const live = await tx
      .select({ id: sessions.id, accessId: sessions.accessId })
      .from(sessions)
      .where(and(eq(sessions.accountId, accountId), isNull(sessions.revokedAt)))
      .for('update');
    const ids = live.map((session) => session.id);
    const change = ended ? { revokedAt: sql`now()` } : { accessId: sql`gen_random_uuid()` };
    if (ids.length > 0) await tx.update(sessions).set(change).where(inArray(sessions.id, ids));
    const keys = await tx.select({ id: apiKeys.id }).from(apiKeys).where(eq(apiKeys.accountId, accountId));
    const accessIds = [...live.map((session) => session.accessId), ...keys.map((key) => key.id)];
    await this.revokedAccess.record(tx, accessIds);
    return accessIds;
  }

  private async issue({ account, accessId, refreshToken }: Grant): Promise<IssuedSession> {
    const { paidAccess, role } = account;
    const { token, expiresAt } = await this.signer.sign({ sub: account.id, sid: accessId, paidAccess, role });
    return { login: { ...account, expiresAt: expiresAt.toISOString() }, accessToken: token, refreshToken };
  }

  private async endWhere(condition: SQL): Promise<boolean> {
    const accessIds = await inTransaction(this.db, async (tx) => {
      const ended = await tx
        .update(sessions)
        .set({ revokedAt: sql`now()` })
        .where(and(condition, isNull(sessions.revokedAt)))
        .returning({ accessId: sessions.accessId });
      const ids = ended.map((session) => session.accessId);
      await this.revokedAccess.record(tx, ids);
      return ids;
    });
    await this.revokedAccess.announce(accessIds);
    return accessIds.length > 0;
  }
}

const isEnabled = (accountId: string) => and(eq(accounts.id, accountId), eq(accounts.disabled, false));

/** Extends the session of a rotated token. `undefined` if it is revoked, or its account is disabled. */
async function extend(tx: Queries, rotation: Rotation): Promise<Grant | undefined> {
  if (rotation.outcome !== 'rotated') return undefined;
  const { sessionId, refreshToken } = rotation;
  const [found] = await tx
    .select({ account: PUBLIC_COLUMNS, accessId: sessions.accessId })
    .from(sessions)
    .innerJoin(accounts, eq(accounts.id, sessions.accountId))
    .where(and(eq(sessions.id, sessionId), isNull(sessions.revokedAt), eq(accounts.disabled, false)));
  if (found === undefined) return undefined;
  await tx.update(sessions).set({ expiresAt: SESSION_END }).where(eq(sessions.id, sessionId));
  return { ...found, refreshToken };
}
