import { Injectable } from '@nestjs/common';
import { and, eq, gt, isNull, sql } from 'drizzle-orm';
import type { Caller } from '#access-token';
import { accounts, type Database, InjectDatabase, sessions } from '#database';
import { inPasswordQueue, isPasswordOf, type Place } from '#passwords';
import { ProblemException } from '#service';
import { AttemptLimits } from '../attempt-limits.js';
import type { Client } from '../client.js';
import { SecurityLog } from '../security-log/security-log.service.js';

/** For this long after a login, an admin needs no password for a change of an account. */
const RECENT_MS = 15 * 60_000;

/** Of a change that needs `requireRecent`. */
export const REAUTHENTICATED_CHANGE = [
  'invalid_request',
  'unauthenticated',
  'invalid_credentials',
  'forbidden',
  'reauthentication_required',
  'too_many_attempts',
  'unavailable',
] as const;

/** A stolen access token must not be enough to change a password or the rights of an account. */
@Injectable()
export class Reauthentication {
  constructor(
    @InjectDatabase() private readonly db: Database,
    private readonly limits: AttemptLimits,
    private readonly log: SecurityLog,
  ) {}

  /**
   * For changes by admins: the session began within 15 minutes, or the request has the admin's password.
   * @throws ProblemException reauthentication_required, invalid_credentials, too_many_attempts
   */
  async requireRecent(
    caller: Caller,
    { currentPassword, client }: { currentPassword: string | undefined; client: Client },
  ): Promise<void> {
    if (currentPassword !== undefined) {
      return inPasswordQueue(client.gone, (place) =>
        this.requirePassword(caller, { password: currentPassword, client, place }),
      );
    }
    if (await this.hasRecentLogin(caller)) return;
    throw new ProblemException('reauthentication_required', 'Log in again, or send your password as currentPassword.');
  }

  /** @throws ProblemException invalid_credentials, too_many_attempts */
  async requirePassword(
    { accountId }: Caller,
    { password, client, place }: { password: string; client: Client; place: Place },
  ): Promise<void> {
    const isRight = await this.limits.reauthentication(accountId, async () => {
      const [account] = await this.db.select().from(accounts).where(eq(accounts.id, accountId));
      return (await isPasswordOf(account?.passwordHash, password, place)) ? true : undefined;
    });
    if (isRight) return;
    await this.log.record({ event: 'reauthentication', result: 'refused', actor: { accountId, client }, accountId });
    throw new ProblemException('invalid_credentials', 'Check your current password.');
  }

  /** False for an API key: it has no login. */
  private async hasRecentLogin({ sessionId }: Caller): Promise<boolean> {
    const isRecent = gt(sessions.createdAt, sql`now() - ${RECENT_MS} * interval '1 ms'`);
    const [session] = await this.db
      .select({ id: sessions.id })
      .from(sessions)
      .where(and(eq(sessions.accessId, sessionId), isNull(sessions.revokedAt), isRecent));
    return session !== undefined;
  }
}
