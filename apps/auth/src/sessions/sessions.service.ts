import { randomUUID } from 'node:crypto';
import { Injectable, Logger } from '@nestjs/common';
import { and, eq, gt, isNull, sql } from 'drizzle-orm';
import { AccessTokenSigner } from '#access-token';
import type { Login } from '#contracts';
import { accounts, type Database, InjectDatabase, inTransaction, type Queries, sessions } from '#database';
import { type AuthSettings, InjectSettings } from '../auth.settings.js';
import type { Client } from '../client.js';
import { EndSessions } from './end-sessions.service.js';
import { RefreshTokens, type Rotation, SESSION_END } from './refresh-tokens.js';

const USER_AGENT_MAX = 256;

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
    private readonly ends: EndSessions,
    @InjectSettings() private readonly settings: AuthSettings,
  ) {}

  /** `undefined` if the account was deleted or disabled, or its password changed, since the password was checked. */
  async start(
    { id: accountId, passwordHash }: { id: string; passwordHash: string },
    userAgent: string | undefined,
  ): Promise<IssuedSession | undefined> {
    const isSame = and(
      eq(accounts.id, accountId),
      eq(accounts.passwordHash, passwordHash),
      eq(accounts.disabled, false),
    );
    const grant = await inTransaction(this.db, async (tx): Promise<Grant | undefined> => {
      // Serializes with a change of the account: either this session sees the change, or the change sees this session
      // and revokes its tokens.
      const [account] = await tx.select(PUBLIC_COLUMNS).from(accounts).where(isSame).for('share');
      if (account === undefined) return undefined;
      const session = {
        id: randomUUID(),
        accountId,
        accessId: randomUUID(),
        expiresAt: sql`least(${SESSION_END}, now() + ${this.settings.SESSION_MAX_DAYS} * interval '1 day')`,
        userAgent: userAgent?.slice(0, USER_AGENT_MAX),
      };
      await tx.insert(sessions).values(session);
      return { account, accessId: session.accessId, refreshToken: await this.refreshTokens.add(tx, session.id) };
    });
    return grant && this.issue(grant);
  }

  /** Trades a refresh token for new tokens. `undefined` if it is not valid; a reuse revokes its session. */
  async refresh(presented: string, client: Client): Promise<IssuedSession | undefined> {
    const { rotation, grant } = await inTransaction(this.db, async (tx) => {
      const rotated = await this.refreshTokens.rotate(tx, presented);
      return { rotation: rotated, grant: await extend(tx, rotated, this.settings.SESSION_MAX_DAYS) };
    });
    if (rotation.outcome === 'reused') {
      this.logger.warn('refresh token reused, session revoked', { sessionId: rotation.sessionId });
      await this.ends.one(eq(sessions.id, rotation.sessionId), { event: 'refresh_token_reused', client });
    }
    return grant && this.issue(grant);
  }

  /** @param accessId the `sid` of an access token. @returns whether that session was live */
  logOut(accessId: string, client: Client): Promise<boolean> {
    return this.ends.one(eq(sessions.accessId, accessId), { event: 'logout', client });
  }

  async logOutByRefreshToken(refreshToken: string, client: Client): Promise<void> {
    const sessionId = await this.refreshTokens.sessionOf(this.db, refreshToken);
    if (sessionId !== undefined) await this.ends.one(eq(sessions.id, sessionId), { event: 'logout', client });
  }

  private async issue({ account, accessId, refreshToken }: Grant): Promise<IssuedSession> {
    const { paidAccess, role } = account;
    const { token, expiresAt } = await this.signer.sign({ sub: account.id, sid: accessId, paidAccess, role });
    return { login: { ...account, expiresAt: expiresAt.toISOString() }, accessToken: token, refreshToken };
  }
}

/** Extends the session of a rotated token. `undefined` if it has ended, was revoked, or its account is disabled. */
async function extend(tx: Queries, rotation: Rotation, maxDays: number): Promise<Grant | undefined> {
  if (rotation.outcome !== 'rotated') return undefined;
  const { sessionId, refreshToken } = rotation;
  const lastEnd = sql`${sessions.createdAt} + ${maxDays} * interval '1 day'`;
  const isLive = and(isNull(sessions.revokedAt), gt(lastEnd, sql`now()`), eq(accounts.disabled, false));
  const [found] = await tx
    .select({ account: PUBLIC_COLUMNS, accessId: sessions.accessId })
    .from(sessions)
    .innerJoin(accounts, eq(accounts.id, sessions.accountId))
    .where(and(eq(sessions.id, sessionId), isLive));
  if (found === undefined) return undefined;
  await tx
    .update(sessions)
    .set({ expiresAt: sql`least(${SESSION_END}, ${lastEnd})`, lastUsedAt: sql`now()` })
    .where(eq(sessions.id, sessionId));
  return { ...found, refreshToken };
}
