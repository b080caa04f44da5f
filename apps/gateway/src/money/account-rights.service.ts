import { Injectable } from '@nestjs/common';
import { sql } from 'drizzle-orm';
import { z } from 'zod';
import { BatchedLookup, withinLoopTime } from '#access-token';
import type { Budget } from '#contracts';
import { type Database, InjectDatabase, PreparedStatement } from '#database';

/** What an account may spend. */
export interface AccountRights {
  paidAccess: boolean;
  budget: Budget;
}

interface Known {
  rights: AccountRights;
  atMs: number;
}

/** How long rights are used before they are read again. */
const FRESH_MS = 1_000;
/** Longest wait for a query where older rights are known. */
const WAIT_MS = 500;
/** After a failed query, older rights are used for this long: Postgres that hangs must not hold up every message. */
const RETRY_AFTER_MS = 5_000;
const ACCOUNTS_MAX = 10_000;

/** A deleted account may spend nothing, nor may a disabled one. */
const NO_RIGHTS: AccountRights = { paidAccess: false, budget: { dayMicros: null, monthMicros: null } };

const RIGHTS = new PreparedStatement(sql`
  select id, paid_access and not disabled as paid_access, budget_day_micros, budget_month_micros
  from accounts where id = any(${sql.placeholder('ids')}::uuid[])`);

const row = z.object({
  id: z.string(),
  paid_access: z.boolean(),
  budget_day_micros: z.coerce.number().nullable(),
  budget_month_micros: z.coerce.number().nullable(),
});

/** What accounts may spend at the moment, from Postgres: at most a second old, unless Postgres does not answer. */
@Injectable()
export class AccountRightsService {
  private readonly known = new Map<string, Known>();
  private failedAtMs = -Infinity;
  private readonly lookup = new BatchedLookup((ids) => this.query(ids));

  constructor(@InjectDatabase() private readonly db: Database) {}

  /** Undefined when they must be read. */
  fresh(accountId: string): AccountRights | undefined {
    const known = this.known.get(accountId);
    if (known === undefined) return undefined;
    const nowMs = performance.now();
    return nowMs - known.atMs < FRESH_MS || nowMs - this.failedAtMs < RETRY_AFTER_MS ? known.rights : undefined;
  }

  /** @throws LookupFailed when Postgres does not answer and the rights were never read */
  async read(accountId: string): Promise<AccountRights> {
    const atMs = performance.now();
    try {
      const found = this.lookup.find(accountId);
      const rights = (await (this.known.has(accountId) ? withinLoopTime(found, WAIT_MS) : found)) ?? NO_RIGHTS;
      if (this.known.size >= ACCOUNTS_MAX) this.known.clear();
      this.known.set(accountId, { rights, atMs });
      return rights;
    } catch (error) {
      this.failedAtMs = performance.now();
      const known = this.known.get(accountId);
      if (known === undefined) throw error;
      return known.rights;
    }
  }

  private async query(ids: string[]): Promise<Map<string, AccountRights>> {
    const rows = z.array(row).parse(await RIGHTS.execute(this.db, { ids }));
    return new Map(
      rows.map(({ id, paid_access: paidAccess, budget_day_micros: dayMicros, budget_month_micros: monthMicros }) => [
        id,
        { paidAccess, budget: { dayMicros, monthMicros } },
      ]),
    );
  }
}
