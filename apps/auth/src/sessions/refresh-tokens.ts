import { createHash, createHmac, type KeyObject, randomBytes } from 'node:crypto';
import { and, eq, gt, isNull, or, type SQL, sql } from 'drizzle-orm';
import { type Queries, refreshTokens } from '#database';
import { deriveKey } from '../signing-keys.js';

/** Lifetime of a session since its last refresh. */
export const REFRESH_TOKEN_TTL_MS = 30 * 86_400_000;

/** Tabs of one browser share a refresh cookie: a repeat this soon after the rotation is not a theft. */
const REPEAT_MS = 10_000;

export type Rotation =
  /** `refreshToken` is the newest of the session: new, or the same again for a repeat within `REPEAT_MS`. */
  | { outcome: 'rotated'; sessionId: string; refreshToken: string }
  /** The token was rotated longer ago: this caller, or the one that rotated it, has stolen it. */
  | { outcome: 'reused'; sessionId: string }
  /** Unknown or expired. */
  | { outcome: 'invalid' };

/**
 * The refresh tokens of all sessions. A session has exactly one token that is not used yet; each rotation marks it
 * used and adds its successor. All times are Postgres's, so that clocks of processes do not matter.
 *
 * Only hashes are stored, yet a repeat must get the same successor again. So a successor is not random: it is the
 * HMAC of the token before it. The HMAC key is derived from the signing key of access tokens, which is not in the
 * database: neither a stolen database nor an old token, nor both, reveal a live token. After a change of the signing
 * key the successor of a token that was rotated with the old key cannot be computed: such a repeat is `invalid`.
 */
export class RefreshTokens {
  private readonly successorKey: Buffer;

  constructor(signingKey: KeyObject) {
    this.successorKey = deriveKey(signingKey, 'octo refresh token');
  }

  /** Adds the first token of a new session, 256 random bits, and returns it. */
  async add(tx: Queries, sessionId: string): Promise<string> {
    return insert(tx, { token: randomBytes(32).toString('base64url'), sessionId });
  }

  /** Of concurrent calls with one token, one rotates it; the others wait for its commit and then count as repeats. */
  async rotate(tx: Queries, token: string): Promise<Rotation> {
    const isLive = and(isToken(token), isNull(refreshTokens.usedAt), gt(refreshTokens.expiresAt, sql`now()`));
    const { sessionId } = refreshTokens;
    const [used] = await tx
      .update(refreshTokens)
      .set({ usedAt: sql`now()` })
      .where(isLive)
      .returning({ sessionId });
    if (used === undefined) return this.repeat(tx, token);
    const refreshToken = await insert(tx, { token: this.successorOf(token), ...used });
    return { outcome: 'rotated', refreshToken, ...used };
  }

  /** The session of a token, used or not. */
  async sessionOf(db: Queries, token: string): Promise<string | undefined> {
    const { sessionId } = refreshTokens;
    const [known] = await db.select({ sessionId }).from(refreshTokens).where(isToken(token));
    return known?.sessionId;
  }

  /** For a token that cannot be rotated: it is used, expired or unknown. */
  private async repeat(tx: Queries, token: string): Promise<Rotation> {
    const { sessionId, usedAt } = refreshTokens;
    const columns = { sessionId, usedAt, isRecent: USED_RECENTLY };
    const [presented] = await tx.select(columns).from(refreshTokens).where(isToken(token));
    if (presented === undefined || presented.usedAt === null) return { outcome: 'invalid' };
    if (!presented.isRecent) return { outcome: 'reused', sessionId: presented.sessionId };
    const refreshToken = await this.newestAfter(tx, token, presented.sessionId);
    if (refreshToken === undefined) return { outcome: 'invalid' };
    return { outcome: 'rotated', refreshToken, sessionId: presented.sessionId };
  }

  /** Follows the successors of a token that was rotated recently: they may have been rotated by now as well. */
  private async newestAfter(tx: Queries, token: string, sessionId: string): Promise<string | undefined> {
    const rows = await tx
      .select({ hash: refreshTokens.hash, usedAt: refreshTokens.usedAt })
      .from(refreshTokens)
      .where(and(eq(refreshTokens.sessionId, sessionId), or(isNull(refreshTokens.usedAt), USED_RECENTLY)));
    const isUsed = new Map(rows.map(({ hash, usedAt }) => [hash, usedAt !== null]));
    let newest = token;
    while (isUsed.get(hashOf(newest)) === true) newest = this.successorOf(newest);
    return isUsed.has(hashOf(newest)) ? newest : undefined;
  }

  private successorOf(token: string): string {
    return createHmac('sha256', this.successorKey).update(token).digest('base64url');
  }
}

const USED_RECENTLY = sql<boolean>`${refreshTokens.usedAt} > now() - ${REPEAT_MS} * interval '1 ms'`;

/** End of a session that is started or refreshed now. */
export const SESSION_END = sql`now() + ${REFRESH_TOKEN_TTL_MS} * interval '1 ms'`;

/** A plain hash: a token has 256 random bits, so it cannot be guessed. */
function hashOf(token: string): string {
  return createHash('sha256').update(token).digest('base64url');
}

function isToken(token: string): SQL {
  return eq(refreshTokens.hash, hashOf(token));
}

async function insert(tx: Queries, { token, sessionId }: { token: string; sessionId: string }): Promise<string> {
  await tx.insert(refreshTokens).values({ hash: hashOf(token), sessionId, expiresAt: SESSION_END });
  return token;
}
