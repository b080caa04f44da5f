import { hostname } from 'node:os';
import { Injectable } from '@nestjs/common';
import { and, asc, eq, ne, sql } from 'drizzle-orm';
import {
  type Account,
  type AccountList,
  type AccountPatch,
  type Budget,
  type Credentials,
  type FreeShare,
  type ManagedAccount,
  PRIORITIES,
  type Priority,
  type Registration,
} from '#contracts';
import {
  accounts,
  ADVISORY_LOCKS,
  cancelWaiting,
  type Database,
  InjectDatabase,
  inTransaction,
  type Queries,
} from '#database';
import { hashPassword, isPasswordOf, type Place } from '#passwords';
import { ProblemException } from '#service';
import { type Actor, type NewSecurityEvent, SecurityLog } from '../security-log/security-log.service.js';
import { useTotpCode } from '../totp/use-totp-code.js';
import { EndSessions } from '../sessions/end-sessions.service.js';
import { type AccountPage, cursorAfter } from './account-page.js';

type AccountRow = typeof accounts.$inferSelect;

/** An account and the password hash that was checked. */
export type Authenticated = Pick<
  AccountRow,
  'id' | 'email' | 'passwordHash' | 'disabled' | 'totpSecret' | 'totpLastStep'
>;

interface SetPasswordOptions {
  /** The access id of a session that goes on. */
  except?: string;
  place?: Place;
  /** Throws if the password must not be set; runs in the same transaction. */
  provided?: (tx: Queries) => Promise<void>;
}

@Injectable()
export class AccountsService {
  constructor(
    @InjectDatabase() private readonly db: Database,
    private readonly endSessions: EndSessions,
    private readonly log: SecurityLog,
  ) {}

  /** @throws ProblemException email_taken */
  async register(
    { email, password }: Registration,
    { place, actor, ...rights }: Partial<Pick<AccountRow, 'role' | 'paidAccess'>> & { place?: Place; actor: Actor },
  ): Promise<Account> {
    const passwordHash = await hashPassword(password, place);
    const row = { email, passwordHash, ...rights };
    const [created] = await this.db.insert(accounts).values(row).onConflictDoNothing().returning();
    if (created === undefined) throw new ProblemException('email_taken', 'Log in, or register another e-mail address.');
    await this.log.record({ event: 'account_created', actor, accountId: created.id, detail: created.role });
    return publicPartOf(created);
  }

  /**
   * `undefined` if the password or the one-time code is wrong, or the account disabled. Takes the same time for every
   * wrong password.
   * @throws ProblemException totp_required: the password is right, but the code is missing
   */
  async authenticate({ email, password, totp }: Credentials, place: Place): Promise<Authenticated | undefined> {
    const account = await this.findByEmail(email);
    const right = await isPasswordOf(account?.passwordHash, password, place);
    if (!right || account === undefined || account.disabled) return undefined;
    const { id, totpSecret: secret, totpLastStep } = account;
    if (secret === null || totpLastStep === null) return account;
    if (totp === undefined) throw new ProblemException('totp_required', 'Send the code of your authenticator as totp.');
    return (await useTotpCode(this.db, { id, secret, code: totp })) ? account : undefined;
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

  async exists(id: string): Promise<boolean> {
    const [account] = await this.db.select({ id: accounts.id }).from(accounts).where(eq(accounts.id, id));
    return account !== undefined;
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
   * Changes an account. Revokes tokens whose claims are outdated; a disabled account loses all sessions, and what it has
   * waiting is cancelled.
   * @throws ProblemException not_found, forbidden
   */
  async update(
    id: string,
    { budget, freeShare, priority, ...rights }: Omit<AccountPatch, 'currentPassword'>,
    actor: Actor,
  ): Promise<ManagedAccount> {
    const patch = {
      ...rights,
      ...(budget && { budgetDayMicros: budget.dayMicros, budgetMonthMicros: budget.monthMicros }),
      ...(freeShare !== undefined && { freeShare: String(freeShare) }),
      ...(priority && { priority: PRIORITIES.indexOf(priority) }),
    };
    const { before, account, accessIds } = await inTransaction(this.db, async (tx) => {
      await tx.execute(sql`select pg_advisory_xact_lock(${ADVISORY_LOCKS.accounts})`);
      const old = await lockAccount(tx, id);
      const [after = old] = await tx.update(accounts).set(patch).where(eq(accounts.id, id)).returning();
      if (isActiveAdmin(old) && !isActiveAdmin(after)) await requireAnotherAdmin(tx, id);
      const stale = tokensAreStale(old, after);
      const revoked = stale ? await this.endSessions.ofAccount(tx, { accountId: id, ended: after.disabled }) : [];
      if (after.disabled && !old.disabled) await cancelMessages(tx, id);
      return { before: old, account: after, accessIds: revoked };
    });
    await this.endSessions.announce(accessIds);
    for (const change of changesBetween(before, account)) await this.log.record({ ...change, actor, accountId: id });
    return managedPartOf(account);
  }

  /**
   * Replaces the password and ends all sessions.
   * @throws ProblemException not_found
   */
  async setPassword(id: string, password: string, { except, place, provided }: SetPasswordOptions = {}): Promise<void> {
    const passwordHash = await hashPassword(password, place);
    const accessIds = await inTransaction(this.db, async (tx) => {
      await lockAccount(tx, id);
      await provided?.(tx);
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

/** Of an account that is disabled. */
async function cancelMessages(tx: Queries, id: string): Promise<void> {
  const pod = `auth-${hostname()}`;
  await tx.execute(cancelWaiting(sql`account_id = ${id}`, { detail: 'The account was disabled.', pod }));
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

function changesBetween(before: AccountRow, after: AccountRow): Pick<NewSecurityEvent, 'event' | 'detail'>[] {
  const changes: Pick<NewSecurityEvent, 'event' | 'detail'>[] = [];
  if (after.role !== before.role) changes.push({ event: 'role_changed', detail: after.role });
  if (after.paidAccess !== before.paidAccess)
    changes.push({ event: 'paid_access_changed', detail: String(after.paidAccess) });
  if (after.disabled !== before.disabled)
    changes.push({ event: after.disabled ? 'account_disabled' : 'account_enabled' });
  if (after.budgetDayMicros !== before.budgetDayMicros || after.budgetMonthMicros !== before.budgetMonthMicros)
    changes.push({ event: 'budget_changed', detail: JSON.stringify(budgetOf(after)) });
  if (after.freeShare !== before.freeShare) changes.push({ event: 'free_share_changed', detail: after.freeShare });
  if (after.priority !== before.priority) changes.push({ event: 'priority_changed', detail: priorityOf(after) });
  return changes;
}

function budgetOf({ budgetDayMicros, budgetMonthMicros }: AccountRow): Budget {
  return { dayMicros: budgetDayMicros, monthMicros: budgetMonthMicros };
}

function freeShareOf({ freeShare }: AccountRow): FreeShare {
  return freeShare === 'all' || freeShare === 'equal' ? freeShare : Number(freeShare);
}

function priorityOf({ priority }: AccountRow): Priority {
  return PRIORITIES[priority] ?? 'normal';
}

function publicPartOf({ id, email, paidAccess, role }: AccountRow): Account {
  return { id, email, paidAccess, role };
}

function managedPartOf(account: AccountRow): ManagedAccount {
  const { disabled, createdAt } = account;
  return {
    ...publicPartOf(account),
    disabled,
    budget: budgetOf(account),
    freeShare: freeShareOf(account),
    priority: priorityOf(account),
    createdAt: createdAt.toISOString(),
  };
}
