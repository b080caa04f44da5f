import { createHash, randomBytes } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { and, eq, gt, sql } from 'drizzle-orm';
import type { Caller } from '#access-token';
import type { PasswordChange, PasswordReset, ResetToken } from '#contracts';
import { type Database, InjectDatabase, passwordResets } from '#database';
import { inPasswordQueue } from '#passwords';
import { ProblemException } from '#service';
import type { Client } from '../client.js';
import { type Actor, SecurityLog } from '../security-log/security-log.service.js';
import { AccountsService } from './accounts.service.js';
import { refuseBreachedPassword } from './breached-passwords.js';
import { Reauthentication } from './reauthentication.service.js';

const RESET_TOKEN_TTL_MS = 3_600_000;

/** Changes and resets of passwords. Both end the other sessions of the account. */
@Injectable()
export class PasswordService {
  constructor(
    @InjectDatabase() private readonly db: Database,
    private readonly accounts: AccountsService,
    private readonly reauthentication: Reauthentication,
    private readonly log: SecurityLog,
  ) {}

  /** @throws ProblemException invalid_request, invalid_credentials, too_many_attempts, unavailable */
  change(caller: Caller, { currentPassword, newPassword }: PasswordChange, client: Client): Promise<void> {
    refuseBreachedPassword(newPassword, 'newPassword');
    return inPasswordQueue(client.gone, async (place) => {
      const { accountId, sessionId } = caller;
      await this.reauthentication.requirePassword(caller, { password: currentPassword, client, place });
      await this.accounts.setPassword(accountId, newPassword, { except: sessionId, place });
      await this.log.record({ event: 'password_changed', actor: { accountId, client }, accountId });
    });
  }

  /**
   * Replaces an earlier token of the account.
   * @throws ProblemException not_found
   */
  async createResetToken(accountId: string, actor: Actor): Promise<ResetToken> {
    if (!(await this.accounts.exists(accountId))) throw new ProblemException('not_found', 'No account has this id.');
    const token = randomBytes(32).toString('base64url');
    const row = { hash: hashOf(token), expiresAt: new Date(Date.now() + RESET_TOKEN_TTL_MS) };
    await this.db
      .insert(passwordResets)
      .values({ accountId, ...row })
      .onConflictDoUpdate({ target: passwordResets.accountId, set: row });
    await this.log.record({ event: 'reset_token_created', actor, accountId });
    return { token, expiresAt: row.expiresAt.toISOString() };
  }

  /**
   * Trades a reset token for a new password.
   * @throws ProblemException invalid_request, invalid_reset_token, unavailable
   */
  async reset({ token, newPassword }: PasswordReset, client: Client): Promise<void> {
    refuseBreachedPassword(newPassword, 'newPassword');
    const isLive = and(eq(passwordResets.hash, hashOf(token)), gt(passwordResets.expiresAt, sql`now()`));
    // Before the password is hashed: an invalid token must not cost that.
    const [found] = await this.db.select().from(passwordResets).where(isLive);
    if (found === undefined) {
      await this.log.record({ event: 'password_reset', result: 'refused', actor: { client } });
      throw invalidToken();
    }
    const { accountId } = found;
    await inPasswordQueue(client.gone, (place) =>
      this.accounts.setPassword(accountId, newPassword, {
        place,
        provided: async (tx) => {
          const used = await tx.delete(passwordResets).where(isLive).returning();
          if (used.length === 0) throw invalidToken();
        },
      }),
    );
    await this.log.record({ event: 'password_reset', actor: { client }, accountId });
  }
}

function invalidToken(): ProblemException {
  return new ProblemException(
    'invalid_reset_token',
    'The token is wrong, used or expired. Ask an admin for a new one.',
  );
}

/** A plain hash: a token has 256 random bits, so it cannot be guessed. */
function hashOf(token: string): string {
  return createHash('sha256').update(token).digest('base64url');
}
