import { Injectable } from '@nestjs/common';
import { and, eq, isNotNull, isNull } from 'drizzle-orm';
import type { Caller } from '#access-token';
import type { TotpSetup } from '#contracts';
import { accounts, type Database, InjectDatabase } from '#database';
import { ProblemException } from '#service';
import { Reauthentication } from '../accounts/reauthentication.service.js';
import { AttemptLimits } from '../attempt-limits.js';
import type { Client } from '../client.js';
import { type Actor, SecurityLog } from '../security-log/security-log.service.js';
import { newTotpSecret, stepOfCode, totpUri } from './totp-codes.js';

/** Sets up and ends one-time codes: a secret counts once a code of it was confirmed. */
@Injectable()
export class TotpService {
  constructor(
    @InjectDatabase() private readonly db: Database,
    private readonly reauthentication: Reauthentication,
    private readonly limits: AttemptLimits,
    private readonly log: SecurityLog,
  ) {}

  /** @throws ProblemException invalid_credentials, too_many_attempts, forbidden */
  async setUp(caller: Caller, currentPassword: string, client: Client): Promise<TotpSetup> {
    await this.reauthentication.requireRecent(caller, { currentPassword, client });
    const secret = newTotpSecret();
    const isOff = and(eq(accounts.id, caller.accountId), isNull(accounts.totpLastStep));
    const [account] = await this.db.update(accounts).set({ totpSecret: secret }).where(isOff).returning();
    if (account !== undefined) return { secret, uri: totpUri(secret, account.email) };
    throw new ProblemException('forbidden', 'One-time codes are in use. Disable them first.');
  }

  /** @throws ProblemException invalid_request, too_many_attempts */
  async confirm({ accountId }: Caller, code: string, client: Client): Promise<void> {
    const isRight = await this.limits.reauthentication(accountId, async () => {
      const [account] = await this.db.select().from(accounts).where(eq(accounts.id, accountId));
      const secret = account?.totpLastStep === null ? account.totpSecret : null;
      const step = secret && stepOfCode(secret, code);
      if (!secret || !step) return undefined;
      const isSame = and(eq(accounts.id, accountId), eq(accounts.totpSecret, secret), isNull(accounts.totpLastStep));
      const confirmed = await this.db.update(accounts).set({ totpLastStep: step }).where(isSame).returning();
      return confirmed.length > 0 || undefined;
    });
    if (isRight) return this.log.record({ event: 'totp_enabled', actor: { accountId, client }, accountId });
    const detail = 'is not a code of the secret that POST /auth/totp returned last';
    throw new ProblemException('invalid_request', `/code ${detail}`, { errors: [{ pointer: '/code', detail }] });
  }

  /** @throws ProblemException invalid_credentials, too_many_attempts */
  async disable(caller: Caller, currentPassword: string, client: Client): Promise<void> {
    await this.reauthentication.requireRecent(caller, { currentPassword, client });
    const { accountId } = caller;
    await removeTotp(this.db, { accountId, log: this.log, actor: { accountId, client } });
  }
}

export async function removeTotp(
  db: Database,
  { accountId, log, actor }: { accountId: string; log: SecurityLog; actor: Actor },
): Promise<void> {
  const isOn = and(eq(accounts.id, accountId), isNotNull(accounts.totpSecret));
  const off = { totpSecret: null, totpLastStep: null };
  const removed = await db.update(accounts).set(off).where(isOn).returning();
  if (removed.length > 0) await log.record({ event: 'totp_disabled', actor, accountId });
}
