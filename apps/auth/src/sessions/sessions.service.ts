import { randomUUID } from 'node:crypto';
import { Injectable, Logger } from '@nestjs/common';
import { and, eq, gt, inArray, isNotNull, isNull, type SQL, sql } from 'drizzle-orm';
import { AccessTokenSigner, AccessTokenVerifier } from '#access-token';
import type { Login } from '#contracts';
import {
  accounts,
  type Database,
  InjectDatabase,
  inTransaction,
  type Queries,
  refreshTokens,
  sessions,
} from '#database';
import { createRefreshToken, hashOf, REFRESH_TOKEN_TTL_MS } from './refresh-token.js';
import { RevokedAccess } from './revoked-access.service.js';

export interface IssuedSession {
  login: Login;
  accessToken: string;
  refreshToken: string;
}

/** What a pair of tokens is made from. */
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
    private readonly verifier: AccessTokenVerifier,
    private readonly revokedAccess: RevokedAccess,
  ) {}

  /** `undefined` if the account is gone or disabled. */
  async start(accountId: string): Promise<IssuedSession | undefined> {
    const grant = await inTransaction(this.db, async (tx): Promise<Grant | undefined> => {
      // The lock makes a change of the account wait for this session, or this session see the change: whoever revokes
      // the tokens of an account misses none.
      const [account] = await tx.select(PUBLIC_COLUMNS).from(accounts).where(isEnabled(accountId)).for('share');
      if (account === undefined) return undefined;
      const session = { id: randomUUID(), accountId, accessId: randomUUID(), expiresAt: endOfSession() };
      await tx.insert(sessions).values(session);
      return { account, accessId: session.accessId, refreshToken: await addRefreshToken(tx, session) };
    });
    return grant && this.issue(grant);
  }

  /** Trades a refresh token for new tokens, once. `undefined` if it is not good; a second use ends the session. */
  async refresh(refreshToken: string): Promise<IssuedSession | undefined> {
    const hash = hashOf(refreshToken);
    const grant = await inTransaction(this.db, async (tx): Promise<Grant | undefined> => {
      const sessionId = await useRefreshToken(tx, hash);
      if (sessionId === undefined) return undefined;
      const [found] = await tx
        .select({ account: PUBLIC_COLUMNS, accessId: sessions.accessId })
        .from(sessions)
        .innerJoin(accounts, eq(accounts.id, sessions.accountId))
        .where(and(eq(sessions.id, sessionId), isNull(sessions.revokedAt), eq(accounts.disabled, false)));
      if (found === undefined) return undefined;
      const session = { id: sessionId, expiresAt: endOfSession() };
      await tx.update(sessions).set({ expiresAt: session.expiresAt }).where(eq(sessions.id, sessionId));
      return { ...found, refreshToken: await addRefreshToken(tx, session) };
    });
    if (grant === undefined) await this.endIfUsedBefore(hash);
    return grant && this.issue(grant);
  }

  /** Ends the session of the access token, or else of the refresh token. */
  async end(tokens: { accessToken: string | undefined; refreshToken: string | undefined }): Promise<void> {
    if (tokens.accessToken !== undefined && (await this.endByAccessToken(tokens.accessToken))) return;
    if (tokens.refreshToken === undefined) return;
    const [known] = await this.db
      .select({ sessionId: refreshTokens.sessionId })
      .from(refreshTokens)
      .where(eq(refreshTokens.hash, hashOf(tokens.refreshToken)));
    if (known !== undefined) await this.endWhere(eq(sessions.id, known.sessionId));
  }

  /**
   * Within a transaction that changes an account: makes all its access tokens useless, and with `ended` its refresh
   * tokens too. What it answers is to be announced after the commit.
   */
  async revokeAccess(tx: Queries, { accountId, ended }: { accountId: string; ended: boolean }): Promise<string[]> {
    const live = await tx
      .select({ id: sessions.id, accessId: sessions.accessId })
      .from(sessions)
      .where(and(eq(sessions.accountId, accountId), isNull(sessions.revokedAt)))
      .for('update');
    if (live.length === 0) return [];
    const ids = live.map((session) => session.id);
    const change = ended ? { revokedAt: new Date() } : { accessId: sql`gen_random_uuid()` };
    await tx.update(sessions).set(change).where(inArray(sessions.id, ids));
    const accessIds = live.map((session) => session.accessId);
    await this.revokedAccess.record(tx, accessIds);
    return accessIds;
  }

  private async issue({ account, accessId, refreshToken }: Grant): Promise<IssuedSession> {
    const { paidAccess, role } = account;
    const { token, expiresAt } = await this.signer.sign({ sub: account.id, sid: accessId, paidAccess, role });
    return { login: { ...account, expiresAt: expiresAt.toISOString() }, accessToken: token, refreshToken };
  }

  /** Whoever shows a token that was traded already: he or the one who traded it is a thief. Neither goes on. */
  private async endIfUsedBefore(hash: string): Promise<void> {
    const [used] = await this.db
      .select({ sessionId: refreshTokens.sessionId })
      .from(refreshTokens)
      .where(and(eq(refreshTokens.hash, hash), isNotNull(refreshTokens.usedAt)));
    if (used === undefined) return;
    this.logger.warn('refresh token used twice', { sessionId: used.sessionId });
    await this.endWhere(eq(sessions.id, used.sessionId));
  }

  private async endByAccessToken(accessToken: string): Promise<boolean> {
    const checked = await this.verifier.checkSignature(accessToken);
    return checked.outcome === 'valid' && this.endWhere(eq(sessions.accessId, checked.caller.sessionId));
  }

  private async endWhere(condition: SQL): Promise<boolean> {
    const accessIds = await inTransaction(this.db, async (tx) => {
      const ended = await tx
        .update(sessions)
        .set({ revokedAt: new Date() })
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

const endOfSession = (): Date => new Date(Date.now() + REFRESH_TOKEN_TTL_MS);

/** Of any number of concurrent uses exactly one gets the session. */
async function useRefreshToken(tx: Queries, hash: string): Promise<string | undefined> {
  const now = new Date();
  const [used] = await tx
    .update(refreshTokens)
    .set({ usedAt: now })
    .where(and(eq(refreshTokens.hash, hash), isNull(refreshTokens.usedAt), gt(refreshTokens.expiresAt, now)))
    .returning({ sessionId: refreshTokens.sessionId });
  return used?.sessionId;
}

async function addRefreshToken(tx: Queries, session: { id: string; expiresAt: Date }): Promise<string> {
  const { token, hash } = createRefreshToken();
  await tx.insert(refreshTokens).values({ hash, sessionId: session.id, expiresAt: session.expiresAt });
  return token;
}
