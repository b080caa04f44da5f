import { Injectable } from '@nestjs/common';
import { sql } from 'drizzle-orm';
import { z } from 'zod';
import { type Database, InjectDatabase } from '#database';
import { isoDate } from './budget-day.js';

/** The id of the deployment's own budget. */
export const DEPLOYMENT = 'deployment';

const spentRow = z.tuple([z.object({ day_micros: z.coerce.number(), month_micros: z.coerce.number() })]);
const costRow = z.object({
  id: z.uuid(),
  status: z.string().nullable(),
  micros: z.coerce.number(),
  day: z.coerce.number().nullable(),
});

/** What became of a message whose hold should have ended. */
export interface HeldMessage {
  id: string;
  /** Undefined: the journal does not know the message. */
  hasEnded: boolean | undefined;
  /** What the ledger has for it, and for which day, such as 20261128; undefined: nothing. */
  micros: number;
  day: number | undefined;
}

/** Whom to debit and whom to credit for a message. */
export const paidForSchema = z.object({
  accountId: z.uuid(),
  channel: z.string(),
  provider: z.string(),
  account: z.string(),
  currency: z.string(),
});
export type PaidFor = z.infer<typeof paidForSchema>;

/** A correction of the ledger; its amount is negative. */
export interface Correction {
  accountId: string;
  amountMicros: number;
  day: number;
}

const correctionRow = z.object({ account_id: z.uuid(), amount_micros: z.coerce.number(), day: z.coerce.number() });

/** Reads the ledger, and adds the entries that come with no message. The journal writes the others, with the messages. */
@Injectable()
export class Ledger {
  constructor(@InjectDatabase() private readonly db: Database) {}

  /**
   * What was spent in a budget on a day and in its month. What a fast clock has written for a later day counts as well.
   * @throws DrizzleQueryError
   */
  async spent(budget: string, day: number): Promise<{ dayMicros: number; monthMicros: number }> {
    const date = sql`${isoDate(day)}::date`;
    const ofBudget = budget === DEPLOYMENT ? sql`true` : sql`account_id = ${budget}`;
    const { rows } = await this.db.execute(sql`
      select coalesce(sum(amount_micros) filter (where day >= ${date}), 0) as day_micros,
        coalesce(sum(amount_micros), 0) as month_micros
      from ledger_entries where ${ofBudget} and day >= date_trunc('month', ${date})`);
    const [{ day_micros: dayMicros, month_micros: monthMicros }] = spentRow.parse(rows);
    return { dayMicros, monthMicros };
  }

  /**
   * Whether the journal has no message: then none can be in flight.
   * @throws DrizzleQueryError
   */
  async isFirstStart(): Promise<boolean> {
    const { rows } = await this.db.execute(sql`select 1 from messages limit 1`);
    return rows.length === 0;
  }

  /** @throws DrizzleQueryError */
  async costOf(messageIds: readonly string[]): Promise<HeldMessage[]> {
    const { rows } = await this.db.execute(sql`
      select h.id, m.status, coalesce(l.micros, 0) as micros, to_char(l.day, 'YYYYMMDD') as day
      from unnest(${sql.param([...messageIds])}::uuid[]) as h(id) left join messages m on m.id = h.id,
        lateral (select sum(amount_micros) as micros, max(day) as day from ledger_entries where message_id = h.id) l`);
    return z
      .array(costRow)
      .parse(rows)
      .map(({ id, status, micros, day }) => ({
        id,
        micros,
        day: day ?? undefined,
        hasEnded: status === null ? undefined : status !== 'waiting' && status !== 'sending',
      }));
  }

  /**
   * Adds the entry of a message that has a hold but no record.
   * @throws DrizzleQueryError
   */
  async addUnconfirmed(
    id: string,
    { micros, paidFor, day }: { micros: number; paidFor: PaidFor; day: string },
  ): Promise<void> {
    const { accountId, channel, provider, account, currency } = paidFor;
    await this.db.execute(sql`
      insert into ledger_entries
        (message_id, kind, account_id, channel, provider, provider_account, amount_micros, currency, day)
      values (${id}, 'unconfirmed', ${accountId}, ${channel}, ${provider}, ${account}, ${micros}, ${currency}, ${day})
      on conflict do nothing`);
  }

  /**
   * Takes back unconfirmed entries of messages whose delivery was recorded after all: within a week, because a gateway that
   * still has such a record is restarted before.
   * @throws DrizzleQueryError
   */
  async correct(): Promise<Correction[]> {
    const { rows } = await this.db.execute(sql`
      insert into ledger_entries
        (message_id, kind, account_id, channel, provider, provider_account, amount_micros, currency, day)
      select message_id, 'correction', account_id, channel, provider, provider_account, -amount_micros, currency, day
      from ledger_entries u
      where kind = 'unconfirmed' and written_at > now() - interval '7 days' and exists (
        select from ledger_entries p where p.message_id = u.message_id and p.kind = 'paid'
          and p.provider = u.provider and p.provider_account = u.provider_account)
      on conflict do nothing
      returning account_id, amount_micros, to_char(day, 'YYYYMMDD') as day`);
    return z
      .array(correctionRow)
      .parse(rows)
      .map(({ account_id: accountId, amount_micros: amountMicros, day }) => ({ accountId, amountMicros, day }));
  }
}
