import { Injectable } from '@nestjs/common';
import { type SQL, sql } from 'drizzle-orm';
import { z } from 'zod';
import { hopSchema } from '#contracts';
import { type Database, InjectDatabase, type Queries } from '#database';
import { withHousekeepingLock } from './housekeeping-lock.js';
import { journalStatements } from './journal-metrics.js';
import { type Message, POD } from '../message.js';
import { callbacksOf } from './statements.js';
import type { Rates } from '../routing/arrival-rate.js';
import type { Waiting } from '../routing/patient-share.js';

const optional = <Schema extends z.ZodType>(schema: Schema) =>
  schema.nullable().transform((value) => value ?? undefined);

const claimedSchema = z.array(
  z
    .object({
      id: z.uuid(),
      account_id: z.uuid(),
      text: z.instanceof(Buffer),
      may_pay: z.boolean(),
      deliver_by: optional(z.coerce.date()),
      send_by: optional(z.coerce.date()),
      only_provider: optional(z.string()),
      callback_url: optional(z.string()),
      idempotency_key: optional(z.string()),
      request_id: z.string(),
      traceparent: z.string(),
      created_at: z.coerce.date(),
      hops: z.array(hopSchema),
    })
    .transform((row): Message => ({
      id: row.id,
      accountId: row.account_id,
      text: row.text.toString('utf8'),
      mayPay: row.may_pay,
      deliverBy: row.deliver_by,
      sendBy: row.send_by,
      onlyProvider: row.only_provider,
      callbackUrl: row.callback_url,
      idempotencyKey: row.idempotency_key,
      fingerprint: undefined,
      requestId: row.request_id,
      traceparent: row.traceparent,
      createdAt: row.created_at,
      hops: row.hops,
      hopsOnDisk: row.hops.length,
    })),
);

const lookSchema = z.tuple([z.object({ waiting: z.int(), due_in_ms: z.coerce.number().nullable() })]);
const queueSchema = z.tuple([
  z.object({ total: z.int(), due_within: z.array(z.int()), recent: z.number(), usual: z.number() }),
]);

/**
 * What waits may go to any provider, now. Said as what is not so: Postgres then expects nearly all that wait to be meant
 * and walks them in order to the limit; expecting few, it sorts all of them. How many wait it learns from `analyze` only.
 */
const MAY_GO = sql`status = 'waiting' and (only_provider > '') is not true and (next_at > now()) is not true`;

/** Heard of lately. */
const OTHERS = sql`pod <> ${POD} and seen_at > now() - interval '10 seconds'`;

/** One hop, dated by Postgres. */
function hop(step: string, details: SQL = sql``): SQL {
  const at = sql`to_char(now() at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`;
  const fields = sql`'at', ${at}, 'pod', ${POD}::text, 'step', ${step}::text${details}`;
  return sql`jsonb_build_array(jsonb_strip_nulls(jsonb_build_object(${fields})))`;
}

/**
 * Takes waiting messages for this pod, each by one pod only. Whoever holds a claim that has run out is believed dead.
 */
@Injectable()
export class Claims {
  constructor(@InjectDatabase() private readonly db: Database) {}

  /** For slots in hand: as many as these, nearest deadline first, noted as being sent. */
  async forSlots({
    provider,
    epoch,
    count,
    claimMs,
  }: {
    provider: string;
    /** Of the permits, where there is a quota. */
    epoch: number | undefined;
    count: number;
    claimMs: number;
  }) {
    const sending = hop('sending', sql`, 'provider', ${provider}::text, 'epoch', ${epoch ?? null}::bigint`);
    return claim(
      this.db,
      sql`
      with picked as materialized (
        select id from messages where ${MAY_GO} and (deliver_by <= now()) is not true
        order by send_by, id limit ${count} for update skip locked)
      update messages m set status = 'sending', claimed_until = now() + ${claimMs} * interval '1 ms',
        hops = m.hops || ${sending}
      from picked where m.id = picked.id returning m.*`,
    );
  }

  /** Whose last safe moment has come, or whose unknown outcome is to be asked for again. */
  async due({ count, claimMs }: { count: number; claimMs: number }): Promise<Message[]> {
    return claim(
      this.db,
      sql`
      with picked as materialized (
        select id from messages where status = 'waiting' and due_at <= now()
          and (deliver_by > now() or only_provider is not null)
        order by due_at limit ${count} for update skip locked)
      update messages m set status = 'sending', claimed_until = now() + ${claimMs} * interval '1 ms'
      from picked where m.id = picked.id returning m.*`,
    );
  }

  /** Whose pod has not been heard of for longer than their claims hold. */
  async orphans({ count, claimMs }: { count: number; claimMs: number }): Promise<Message[]> {
    const statement = sql`
      with picked as materialized (
        select id from messages where status = 'sending' and claimed_until <= now()
        order by claimed_until limit ${count} for update skip locked)
      update messages m set claimed_until = now() + ${claimMs} * interval '1 ms'
      from picked where m.id = picked.id returning m.*`;
    return (await withHousekeepingLock(this.db, (tx) => claim(tx, statement))) ?? [];
  }

  /**
   * Ends those whose deadline has passed, at most `count`. Those that may have been delivered are asked for on.
   * @returns how many
   */
  async expire(count: number): Promise<number> {
    const detail = sql`case when may_pay then 'No provider took it by its deadline.'
      else 'No free quota came by its deadline, and it may not be paid for.' end`;
    journalStatements.inc();
    const { rows } = await this.db.execute(sql`
      with picked as materialized (
        select id from messages
        where status = 'waiting' and due_at <= now() and deliver_by <= now() and only_provider is null
        order by due_at limit ${count} for update skip locked
      ), ended as (
        update messages m set status = 'expired', reason = 'deadline_missed', detail = ${detail}, finished_at = now(),
          hops = hops || ${hop('expired')}
        from picked where m.id = picked.id
        returning m.*
      ), called as (${callbacksOf(sql`ended`)})
      select id from ended`);
    return rows.length;
  }

  /** Cancels a message that waits. @returns whether it was waiting */
  async cancel({ id, accountId }: { id: string; accountId: string }): Promise<boolean> {
    journalStatements.inc();
    const { rows } = await this.db.execute(sql`
      with ended as (
        update messages set status = 'cancelled', reason = 'cancelled', detail = 'Its sender cancelled it.',
          finished_at = now(), hops = hops || ${hop('cancelled')}
        where id = ${id} and account_id = ${accountId} and status = 'waiting' and only_provider is null
        returning *
      ), called as (${callbacksOf(sql`ended`)})
      select id from ended`);
    return rows.length > 0;
  }

  /** Tells the other pods of this one's urgent traffic; how many wait, at most `most`, and when the first is due. */
  async look(urgent: Rates, most: number): Promise<{ waiting: number; dueInMs: number | undefined }> {
    journalStatements.inc();
    const { rows } = await this.db.execute(sql`
      with told as (
        insert into gateway_pods (pod, recent_per_second, usual_per_second, seen_at)
        values (${POD}, ${urgent.recent}, ${urgent.usual}, now())
        on conflict (pod) do update set recent_per_second = excluded.recent_per_second,
          usual_per_second = excluded.usual_per_second, seen_at = excluded.seen_at)
      select (select count(*)::int from (select 1 from messages where status = 'waiting' limit ${most}) w) as waiting,
        (select extract(epoch from due_at - now()) * 1000 from messages
          where status = 'waiting' order by due_at limit 1) as due_in_ms`);
    const [{ waiting, due_in_ms: dueInMs }] = lookSchema.parse(rows);
    return { waiting, dueInMs: dueInMs ?? undefined };
  }

  /**
   * How many may take a permit now, at most `most`; how many of them are due within each of these times; and the
   * urgent traffic of the other pods.
   */
  async queue(thresholdsMs: readonly number[], most: number): Promise<{ waiting: Waiting; others: Rates }> {
    const dueWithin = thresholdsMs.map((ms) => sql`count(*) filter (where send_by <= now() + ${ms} * interval '1 ms')`);
    journalStatements.inc();
    const { rows } = await this.db.execute(sql`
      select count(*)::int as total, array[${sql.join(dueWithin, sql`, `)}]::int[] as due_within,
        (select coalesce(sum(recent_per_second), 0)::float8 from gateway_pods where ${OTHERS}) as recent,
        (select coalesce(sum(usual_per_second), 0)::float8 from gateway_pods where ${OTHERS}) as usual
      from (select send_by from messages where ${MAY_GO} order by send_by limit ${most}) w`);
    const [{ total, due_within: dueCounts, recent, usual }] = queueSchema.parse(rows);
    return { waiting: { total, dueWithin: dueCounts }, others: { recent, usual } };
  }
}

async function claim(db: Queries, statement: SQL): Promise<Message[]> {
  journalStatements.inc();
  const { rows } = await db.execute(statement);
  return claimedSchema.parse(rows);
}
