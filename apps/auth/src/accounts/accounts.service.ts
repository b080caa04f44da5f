import { Injectable } from '@nestjs/common';
import { and, asc, eq, ne, sql } from 'drizzle-orm';
import type { Account, AccountList, AccountPatch, Credentials, ManagedAccount, Registration } from '#contracts';
import { accounts, ADVISORY_LOCKS, type Database, InjectDatabase, inTransaction, type Queries } from '#database';
import { ProblemException } from '#service';
import { RevokedAccess } from '../sessions/revoked-access.service.js';
import { SessionsService } from '../sessions/sessions.service.js';
import { type AccountPage, cursorAfter } from './account-page.js';
import { hashPassword, isPasswordOf } from './passwords.js';

type AccountRow = typeof accounts.$inferSelect;

@Injectable()
export class AccountsService {
  constructor(
    @InjectDatabase() private readonly db: Database,
    private readonly sessions: SessionsService,
    private readonly revokedAccess: RevokedAccess,
  ) {}

  /** @throws ProblemException email_taken */
  async register({ email, password }: Registration): Promise<Account> {
    const passwordHash = await hashPassword(password);
    const [created] = await this.db.insert(accounts).values({ email, passwordHash }).onConflictDoNothing().returning();
    if (created === undefined) throw new ProblemException('email_taken', 'Log in, or register another e-mail address.');
    return publicPartOf(created);
  }

  /** The account's id, or `undefined` if the password is wrong or the account disabled. Takes the same time in each case. */
  async authenticate({ email, password }: Credentials): Promise<string | undefined> {
    const [account] = await this.db.select().from(accounts).where(eq(accounts.email, email));
    const right = await isPasswordOf(account?.passwordHash, password);
    return right && account?.disabled === false ? account.id : undefined;
  }

  /** `undefined` if the account is deleted or disabled. */
  async find(id: string): Promise<Account | undefined> {
    const [account] = await this.db.select().from(accounts).where(eq(accounts.id, id));
    return account?.disabled === false ? publicPartOf(account) : undefined;
  }

  /** In order of creation. */
  async list({ limit, cursor }: AccountPage): Promise<AccountList> {
    const after =
      cursor && sql`(${accounts.createdAt}, ${accounts.id}) > (${cursor.createdAt.toISOString()}, ${cursor.id})`;
    const order = [asc(accounts.createdAt), asc(accounts.id)];
    const rows = await this.db
      .select()
      .from(accounts)
      .where(after)
      .orderBy(...order)
      .limit(limit + 1);
    const page = rows.slice(0, limit);
    const last = rows.length > limit ? page.at(-1) : undefined;
    return { items: page.map(managedPartOf), nextCursor: last ? cursorAfter(last) : null };
  }

  /**
   * Changes an account. Revokes tokens whose claims are outdated; a disabled account loses all sessions.
   * @throws ProblemException not_found, forbidden
   */
  async update(id: string, patch: AccountPatch): Promise<ManagedAccount> {
    const { account, accessIds } = await inTransaction(this.db, async (tx) => {
      await tx.execute(sql`select pg_advisory_xact_lock(${ADVISORY_LOCKS.accounts})`);
      const before = await lockAccount(tx, id);
      const [after = before] = await tx.update(accounts).set(patch).where(eq(accounts.id, id)).returning();
      if (isActiveAdmin(before) && !isActiveAdmin(after)) await requireAnotherAdmin(tx, id);
      const stale = tokensAreStale(before, after);
      const revoked = stale ? await this.sessions.revokeAccess(tx, { accountId: id, ended: after.disabled }) : [];
      return { account: after, accessIds: revoked };
    });
    await this.revokedAccess.announce(accessIds);
    return managedPartOf(account);
  }
}

/** Waits for logins in flight, so that the sessions that they start are visible afterwards. */
async function lockAccount(tx: Queries, id: string): Promise<AccountRow> {
  const [account] = await tx.select().from(accounts).where(eq(accounts.id, id)).for('update');
  if (account === undefined) throw new ProblemException('not_found', 'No account has this id.');
  return account;
}

async function requireAnotherAdmin(tx: Queries, id: string): Promise<void> {
  const others = and(eq(accounts.role, 'admin'), eq(accounts.disabled, false), ne(accounts.id, id));
  const [other] = await tx.select({ id: accounts.id }).from(accounts).where(others).limit(1);
  if (other === undefined) {
    throw new ProblemException('forbidden', 'This is the last enabled admin. Make another account admin first.');
  }
}

function isActiveAdmin({ role, disabled }: AccountRow): boolean {
  return role === 'admin' && !disabled;
}

function tokensAreStale(before: AccountRow, after: AccountRow): boolean {
  const becameDisabled = after.disabled && !before.disabled;
  return becameDisabled || after.role !== before.role || after.paidAccess !== before.paidAccess;
}

function publicPartOf({ id, email, paidAccess, role }: AccountRow): Account {
  return { id, email, paidAccess, role };
}

function managedPartOf(account: AccountRow): ManagedAccount {
  const { disabled, createdAt } = account;
  return { ...publicPartOf(account), disabled, createdAt: createdAt.toISOString() };
}
