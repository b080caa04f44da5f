import { Injectable } from '@nestjs/common';
import { type SQL, sql } from 'drizzle-orm';
import { z } from 'zod';
import { type Hop, hopSchema, PRIORITIES } from '#contracts';
import { callbacksOf, cancelWaiting, type Database, hopOf, InjectDatabase, type Queries } from '#database';
import { type Message, POD } from '../message.js';
import { noteUnsent } from '../metrics/message-metrics.js';
import type { Rates } from '../routing/arrival-rate.js';
import type { Waiting } from '../routing/patient-share.js';
import { withHousekeepingLock } from './housekeeping-lock.js';
import { contentOf } from './message-queries.service.js';
import { journalStatements } from './statements.js';
import { pickInTurn } from './turns.js';

const optional = <Schema extends z.ZodType>(schema: Schema) =>
  schema.nullable().transform((value) => value ?? undefined);

const claimedSchema = z.array(
  z
    .object({
      id: z.uuid(),
      account_id: z.uuid(),
      channel: z.string(),
      text: z.instanceof(Buffer),
      is_json: z.boolean(),
      may_pay: z.boolean(),
      priority: z.int(),
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
      channel: row.channel,
      content: contentOf(row.text, row.is_json),
      mayPay: row.may_pay,
      priority: PRIORITIES[row.priority] ?? 'normal',
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

const pollSchema = z.tuple([z.object({ waiting: z.int(), due_in_ms: z.coerce.number().nullable() })]);
const countSchema = z.tuple([
  z.object({ total: z.int(), due_within: z.array(z.int()), recent: z.number(), usual: z.number() }),
]);

const endedSchema = z.array(z.object({ channel: z.string() }));

/**
 * Waiting messages that may go to any provider now: not tied to one that may have delivered them, and their back-off is
 * over. Written as `is not true` for the planner's estimate: it then expects most waiting rows to match and walks the index
 * up to the limit; expecting few, it would sort all of them. Only `analyze` tells it how many rows wait.
 */
const MAY_GO = sql`status = 'waiting' and (only_provider > '') is not true and (next_at > now()) is not true`;

/** The channels that a provider delivers; undefined: all of them. */
export type Channels = readonly string[] | undefined;

function mayGo(channels: Channels): SQL {
  return channels === undefined ? MAY_GO : sql`${MAY_GO} and channel = any(${sql.param([...channels])})`;
}

function notOf(accountIds: readonly string[]): SQL {
  return accountIds.length === 0 ? sql`true` : sql`account_id <> all(${sql.param([...accountIds])}::uuid[])`;
}

/** Pods that have reported lately, without this one. */
const OTHERS = sql`pod <> ${POD} and seen_at > now() - interval '10 seconds'`;

/** An array of one hop, with Postgres's time. */
function hop(step: string, details?: SQL): SQL {
  return hopOf({ step, pod: POD }, details);
}

function placeFields({ provider, account }: Pick<Hop, 'provider' | 'account'>): SQL {
  return sql`, 'provider', ${provider ?? null}::text, 'account', ${account ?? null}::text`;
}

/** The reason in the record of a message that does not take an open slot. */
const HELD_BACK = 'free slots are kept for urgent messages';

/** Claims waiting messages for this pod; one pod at a time holds a message. A pod whose claim expired is believed dead. */
@Injectable()
export class Claims {
  constructor(@InjectDatabase() private readonly db: Database) {}

  /** For granted permits: as many messages as there are slots, with the intent to send. See `turns.ts` for which ones. */
  async claimForSlots({
    place,
    channels,
    epoch,
    count,
    claimMs,
    lastChanceMs,
    quota,
    shares,
  }: {
    place: Pick<Hop, 'provider' | 'account'>;
    channels: Channels;
    /** The window of the permits, where there is a quota. */
    epoch: number | undefined;
    count: number;
    claimMs: number;
    lastChanceMs: number;
    /** The provider account whose slots they are. */
    quota: string;
    /** How many messages of an account may go, where that is limited. */
    shares: Readonly<Record<string, number>>;
  }) {
    const sending = hop('sending', sql`${placeFields(place)}, 'epoch', ${epoch ?? null}::bigint`);
    return claim(
      this.db,
      sql`
      with recursive ${pickInTurn({ mayGo: sql`${mayGo(channels)} and (deliver_by <= now()) is not true`, count, lastChanceMs, quota, shares })}
      update messages m set status = 'sending', claimed_until = now() + ${claimMs} * interval '1 ms',
        hops = m.hops || ${sending}
      from picked where m.id = picked.id returning m.*`,
    );
  }

  /** Messages whose last safe moment has come, or whose unknown outcome is to be resolved. */
  async claimDue({ count, claimMs }: { count: number; claimMs: number }): Promise<Message[]> {
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

  /** Messages whose claim has expired: their pod is believed dead. */
  async claimAbandoned({ count, claimMs }: { count: number; claimMs: number }): Promise<Message[]> {
    const statement = sql`
      with picked as materialized (
        select id from messages where status = 'sending' and claimed_until <= now()
        order by claimed_until limit ${count} for update skip locked)
      update messages m set claimed_until = now() + ${claimMs} * interval '1 ms'
      from picked where m.id = picked.id returning m.*`;
    return (await withHousekeepingLock(this.db, (tx) => claim(tx, statement))) ?? [];
  }

  /**
   * Expires messages whose deadline has passed, at most `count`. Unknown outcomes go on being resolved.
   * @returns how many
   */
  async expire(count: number): Promise<number> {
    const spending = sql`(select hop ->> 'reason' from jsonb_array_elements(m.hops) with ordinality as hops_of(hop, place)
      where hop ->> 'step' = 'no_permit' and hop ->> 'reason' in ('budget', 'no_paid_access') order by place desc limit 1)`;
    const reason = sql`case when not may_pay then 'deadline_missed' else case ${spending} when 'budget' then 'budget_exhausted'
      when 'no_paid_access' then 'paid_access_required' else 'deadline_missed' end end`;
    const detail = sql`case when may_pay then case ${spending}
        when 'budget' then 'A spending limit was reached, and no free quota opened before its deadline.'
        when 'no_paid_access' then 'The account had no paid access any longer, and no free quota opened before its deadline.'
        else 'No provider accepted the message before its deadline.' end
      else 'No free quota opened before its deadline, and the message may not be paid for.' end`;
    journalStatements.inc();
    const { rows } = await this.db.execute(sql`
      with picked as materialized (
        select id from messages
        where status = 'waiting' and due_at <= now() and deliver_by <= now() and only_provider is null
        order by due_at limit ${count} for update skip locked
      ), ended as (
        update messages m set status = 'expired', reason = ${reason}, detail = ${detail}, finished_at = now(),
          hops = hops || ${hop('expired')}
        from picked where m.id = picked.id
        returning m.*
      ), called as (${callbacksOf(sql`ended`)})
      select channel from ended`);
    for (const { channel } of endedSchema.parse(rows)) noteUnsent(channel, 'expired');
    return rows.length;
  }

  /**
   * Adds a hop to the first `count` messages that would take a slot now, if their record does not say yet that they are
   * held back. Its wait is the longest one: until the last safe moment.
   */
  async noteHeldBack({
    place,
    channels,
    count,
  }: {
    place: Pick<Hop, 'provider' | 'account'>;
    channels: Channels;
    count: number;
  }): Promise<void> {
    const waitMs = sql`ceil(extract(epoch from greatest(m.send_by - now(), interval '0')) * 1000)`;
    const heldBack = hop('waiting', sql`${placeFields(place)}, 'reason', ${HELD_BACK}::text, 'waitMs', ${waitMs}`);
    journalStatements.inc();
    await this.db.execute(sql`
      with first as materialized (
        select id, hops -> -1 ->> 'reason' as reason from messages
        where ${mayGo(channels)} order by send_by limit ${count})
      update messages m set hops = m.hops || ${heldBack}
      from first where m.id = first.id and first.reason is distinct from ${HELD_BACK} and m.status = 'waiting'`);
  }

  /** Cancels a waiting message. @returns whether it was waiting */
  async cancel({ id, accountId }: { id: string; accountId: string }): Promise<boolean> {
    journalStatements.inc();
    const ofAccount = sql`id = ${id} and account_id = ${accountId}`;
    const { rows } = await this.db.execute(
      cancelWaiting(ofAccount, { detail: 'The caller cancelled the message.', pod: POD }),
    );
    return rows.length > 0;
  }

  /**
   * Reports this pod's urgent traffic to the other pods.
   * @returns how many messages wait, at most `max`, and when the first is due
   */
  async poll(urgent: Rates, max: number): Promise<{ waiting: number; dueInMs: number | undefined }> {
    journalStatements.inc();
    const { rows } = await this.db.execute(sql`
      with reported as (
        insert into gateway_pods (pod, recent_per_second, usual_per_second, seen_at)
        values (${POD}, ${urgent.recent}, ${urgent.usual}, now())
        on conflict (pod) do update set recent_per_second = excluded.recent_per_second,
          usual_per_second = excluded.usual_per_second, seen_at = excluded.seen_at)
      select (select count(*)::int from (select 1 from messages where status = 'waiting' limit ${max}) w) as waiting,
        (select extract(epoch from due_at - now()) * 1000 from messages
          where status = 'waiting' order by due_at limit 1) as due_in_ms`);
    const [{ waiting, due_in_ms: dueInMs }] = pollSchema.parse(rows);
    return { waiting, dueInMs: dueInMs ?? undefined };
  }

  /** Which of these accounts have messages that wait, at most `max`. */
  async accountsWaiting(ids: readonly string[], max: number): Promise<string[]> {
    if (ids.length === 0) return [];
    journalStatements.inc();
    const { rows } = await this.db.execute<{ id: string }>(sql`
      select id from unnest(${sql.param([...ids])}::uuid[]) id
      where exists (select from messages where account_id = id and status = 'waiting') limit ${max}`);
    return rows.map(({ id }) => id);
  }

  /**
   * How many messages may take a permit now, at most `max`; how many of them must be sent within each threshold; and the
   * urgent traffic of the other pods.
   */
  async countWaiting(
    thresholdsMs: readonly number[],
    { max, channels, without }: { max: number; channels: Channels; without: readonly string[] },
  ): Promise<{ waiting: Waiting; others: Rates }> {
    const dueWithin = thresholdsMs.map((ms) => sql`count(*) filter (where send_by <= now() + ${ms} * interval '1 ms')`);
    journalStatements.inc();
    const { rows } = await this.db.execute(sql`
      select count(*)::int as total, array[${sql.join(dueWithin, sql`, `)}]::int[] as due_within,
        (select coalesce(sum(recent_per_second), 0)::float8 from gateway_pods where ${OTHERS}) as recent,
        (select coalesce(sum(usual_per_second), 0)::float8 from gateway_pods where ${OTHERS}) as usual
      from (select send_by from messages where ${mayGo(channels)} and ${notOf(without)} order by send_by limit ${max}) w`);
    const [{ total, due_within: dueCounts, recent, usual }] = countSchema.parse(rows);
    return { waiting: { total, dueWithin: dueCounts }, others: { recent, usual } };
  }
}

async function claim(db: Queries, statement: SQL): Promise<Message[]> {
  journalStatements.inc();
  const { rows } = await db.execute(statement);
  return claimedSchema.parse(rows);
}
