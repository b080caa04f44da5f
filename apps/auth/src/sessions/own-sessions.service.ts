import { Injectable } from '@nestjs/common';
import { and, desc, eq, gt, isNull, sql } from 'drizzle-orm';
import type { Caller } from '#access-token';
import type { SessionList } from '#contracts';
import { type Database, InjectDatabase, sessions } from '#database';
import type { Client } from '../client.js';
import { EndSessions } from './end-sessions.service.js';

/** Most sessions that are listed: the newest. */
const LIST_MAX = 100;

/** The sessions of the account that asks. */
@Injectable()
export class OwnSessions {
  constructor(
    @InjectDatabase() private readonly db: Database,
    private readonly ends: EndSessions,
  ) {}

  /** Last used first. */
  async list({ accountId, sessionId }: Caller): Promise<SessionList> {
    const isLive = and(isNull(sessions.revokedAt), gt(sessions.expiresAt, sql`now()`));
    const rows = await this.db
      .select()
      .from(sessions)
      .where(and(eq(sessions.accountId, accountId), isLive))
      .orderBy(desc(sessions.lastUsedAt), desc(sessions.id))
      .limit(LIST_MAX);
    const items = rows.map(({ id, accessId, userAgent, createdAt, lastUsedAt, expiresAt }) => ({
      id,
      userAgent,
      createdAt: createdAt.toISOString(),
      lastUsedAt: lastUsedAt.toISOString(),
      expiresAt: expiresAt.toISOString(),
      current: accessId === sessionId,
    }));
    return { items };
  }

  /** @returns whether the account had this session */
  end(id: string, { accountId }: Caller, client: Client): Promise<boolean> {
    const isOwn = and(eq(sessions.id, id), eq(sessions.accountId, accountId));
    return this.ends.one(isOwn, { event: 'session_ended', client });
  }
}
