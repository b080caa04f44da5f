import { Injectable } from '@nestjs/common';
import { and, asc, eq, ne, sql } from 'drizzle-orm';
import type { Account, AccountList, AccountPatch, Credentials, ManagedAccount, Registration } from '#contracts';
import { accounts, ADVISORY_LOCKS, type Database, InjectDatabase, inTransaction, type Queries } from '#database';
import { ProblemException } from '#service';
import { EndSessions } from '../sessions/end-sessions.service.js';
import { type AccountPage, cursorAfter } from './account-page.js';
import type { Place } from './hash-queue.js';
import { hashPassword, isPasswordOf } from './passwords.js';

type AccountRow = typeof accounts.$inferSelect;

/** An account and the password hash that was checked. */
export type Authenticated = Pick<AccountRow, 'id' | 'email' | 'passwordHash' | 'disabled'>;

@Injectable()
export class AccountsService {
  constructor(
    @InjectDatabase() private readonly db: Database,
    private readonly endSessions: EndSessions,
  ) {}

  /** @throws ProblemException email_taken */
  async register(
    { email, password }: Registration,
    { place, ...rights }: Partial<Pick<AccountRow, 'role' | 'paidAccess'>> & { place?: Place } = {},
  ): Promise<Account> {
    const passwordHash = await hashPassword(password, place);
    const row = { email, passwordHash, ...rights };
    const [created] = await this.db.insert(accounts).values(row).onConflictDoNothing().returning();
    if (created === undefined) throw new ProblemException('email_taken', 'Log in, or register another e-mail address.');
    return publicPartOf(created);
  }

  /**
   * `undefined` if the password is wrong or the account disabled. Takes the same time in each case.
   */
  async authenticate({ email, password }: Credentials, place: Place): Promise<Authenticated | undefined> {
    const account = await this.findByEmail(email);
    const right = await isPasswordOf(account?.passwordHash, password, place);
    return right && account?.disabled === false ? account : undefined;
  }

  async findByEmail(email: string): Promise<Authenticated | undefined> {
    const [account] = await this.db.select().from(accounts).where(eq(accounts.email, email));
    return account;
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
      const revoked = stale ? await this.endSessions.ofAccount(tx, { accountId: id, ended: after.disabled }) : [];
      return { account: after, accessIds: revoked };
    });
    await this.endSessions.announce(accessIds);
    return managedPartOf(account);
  }

  /**
   * Replaces the password and ends all sessions.
   * @param except the access id of a session that goes on
   * @throws ProblemException not_found
   */
  async setPassword(id: string, password: string, { except, place }: { except?: string; place?: Place } = {}) {
    const passwordHash = await hashPassword(password, place);
    const accessIds = await inTransaction(this.db, async (tx) => {
      await lockAccount(tx, id);
      await tx.update(accounts).set({ passwordHash }).where(eq(accounts.id, id));
      return this.endSessions.ofAccount(tx, { accountId: id, ended: true, ...(except && { except }) });
    });
    await this.endSessions.announce(accessIds);
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
