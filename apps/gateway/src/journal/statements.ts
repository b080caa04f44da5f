import { randomBytes } from 'node:crypto';
import { sql, type SQL } from 'drizzle-orm';
import { Counter } from 'prom-client';
import { v7 as uuidv7 } from 'uuid';
import { type Hop, PRIORITIES } from '#contracts';
import { callbacksOf, PreparedStatement } from '#database';
import type { Change, Ending, Message } from '../message.js';
import type { LedgerEntry } from '../money/ledger-entries.js';

export const journalStatements = new Counter({
  name: 'octo_journal_statements_total',
  help: 'SQL statements that wrote or claimed messages',
});

/**
 * Rows go to Postgres as one JSON array, and their texts as one string of bytes: one statement for any number of rows,
 * and no text needs to be encoded.
 */
export interface Entry<Row> {
  row: Row;
  text: string | undefined;
  response: string | undefined;
}

/** Where the texts of a row stand in the bytes: position (the first is 1) and length. */
interface Places {
  text_from?: number;
  text_for?: number;
  response_from?: number;
  response_for?: number;
}

export interface InsertRow extends Places {
  id: string;
  account_id: string;
  channel: string;
  is_json: boolean;
  status: string;
  may_pay: boolean;
  priority: number;
  deliver_by: Date | undefined;
  send_by: Date | undefined;
  claim_ms: number | undefined;
  callback_url: string | undefined;
  idempotency_key: string | undefined;
  fingerprint: string | undefined;
  request_id: string;
  traceparent: string;
  provider: string | undefined;
  account: string | undefined;
  response_is_json: boolean;
  cost_micros: number;
  currency: string;
  reason: string | undefined;
  detail: string | undefined;
  created_at: Date;
  finished_at: string | undefined;
  hops: readonly Hop[];
  ledger: readonly LedgerEntry[] | undefined;
}

/** What changes of a message that is on disk. */
export interface ChangeRow extends Places {
  id: string;
  /** Hops on disk before the change: a pod that was believed dead changes nothing once another pod has taken over. */
  hops_before: number;
  status: string;
  send_by: Date | undefined;
  next_in_ms: number | undefined;
  only_provider: string | undefined;
  claim_ms: number | undefined;
  provider: string | undefined;
  account: string | undefined;
  response_is_json: boolean;
  cost_micros: number;
  reason: string | undefined;
  detail: string | undefined;
  finished_at: string | undefined;
  hops: readonly Hop[];
  ledger: readonly LedgerEntry[] | undefined;
}

type EndingColumns = Pick<
  ChangeRow,
  'provider' | 'account' | 'response_is_json' | 'cost_micros' | 'reason' | 'detail' | 'finished_at'
>;

/** @param finishedAt when the message ended */
function endingColumns(ending: Ending | undefined, finishedAt: string | undefined): EndingColumns {
  if (ending === undefined) return NOT_ENDED;
  if (ending.status !== 'delivered') {
    return { ...NOT_ENDED, reason: ending.reason, detail: ending.detail, finished_at: finishedAt };
  }
  const { provider, account, response, costMicros } = ending;
  return {
    ...NOT_ENDED,
    provider,
    account,
    response_is_json: typeof response !== 'string',
    cost_micros: costMicros,
    finished_at: finishedAt,
  };
}

function responseOf(ending: Ending | undefined): string | undefined {
  return ending?.status === 'delivered' ? textOf(ending.response) : undefined;
}

/** JSON where the value is not text already. */
function textOf(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

const NOT_ENDED: EndingColumns = {
  provider: undefined,
  account: undefined,
  response_is_json: false,
  cost_micros: 0,
  reason: undefined,
  detail: undefined,
  finished_at: undefined,
};

/** The parameters of the statements below. */
export function valuesOf(entries: readonly Entry<Places>[]): { bytes: Buffer; rows: string } {
  const bytes = placed(entries);
  return { bytes, rows: JSON.stringify(entries.map(({ row }) => row)) };
}

/** A query for the rows to write, each with its own texts. */
function given(columns: SQL): SQL {
  return sql`
    select x.*, substring(bytes from text_from for text_for) as text,
      substring(bytes from response_from for response_for) as response
    from (select ${sql.placeholder('bytes')}::bytea as bytes) b,
      jsonb_to_recordset(${sql.placeholder('rows')}::jsonb) as x(${columns},
        text_from int, text_for int, response_from int, response_for int)`;
}

/** Notes in each row where its texts stand in the returned bytes, which are UTF-8. */
function placed(entries: readonly Entry<Places>[]): Buffer {
  const parts: Buffer[] = [];
  let next = 1;
  const place = (text: string): number => {
    const part = Buffer.from(text);
    parts.push(part);
    next += part.length;
    return part.length;
  };
  for (const { row, text, response } of entries) {
    if (text !== undefined) {
      row.text_from = next;
      row.text_for = place(text);
    }
    if (response !== undefined) {
      row.response_from = next;
      row.response_for = place(response);
    }
  }
  return Buffer.concat(parts);
}

const MESSAGE_COLUMNS = sql.raw(`
  id uuid, account_id uuid, channel text, is_json boolean, account text, response_is_json boolean, status text, may_pay boolean, priority smallint, deliver_by timestamptz, send_by timestamptz, claim_ms float8,
  callback_url text, idempotency_key text, fingerprint text, request_id text, traceparent text, provider text,
  cost_micros bigint, currency text, reason text, detail text, created_at timestamptz, finished_at timestamptz,
  hops jsonb, ledger jsonb`);

const CHANGE_COLUMNS = sql.raw(`
  id uuid, hops_before int, status text, send_by timestamptz, next_in_ms float8, only_provider text, claim_ms float8,
  provider text, account text, response_is_json boolean, cost_micros bigint, reason text, detail text,
  finished_at timestamptz, hops jsonb, ledger jsonb`);

const INTO_MESSAGES = sql.raw(`
  insert into messages (id, account_id, channel, is_json, account, response_is_json, status, text, may_pay, priority, deliver_by, send_by, claimed_until, callback_url,
    idempotency_key, request_id, traceparent, provider, response, cost_micros, currency, reason, detail,
    created_at, finished_at, hops)
  select id, account_id, channel, is_json, account, response_is_json, status, text, may_pay, priority, deliver_by, send_by,
    now() + claim_ms * interval '1 ms', callback_url, idempotency_key, request_id, traceparent, provider,
    response, cost_micros, currency, reason, detail, created_at, finished_at, hops`);

/**
 * Inserts messages that have neither an idempotency key nor a callback, with half the work of `INSERT`. A retry of a
 * statement whose result was lost changes nothing.
 */
export const PLAIN_INSERT = new PreparedStatement(
  sql`${INTO_MESSAGES} from (${given(MESSAGE_COLUMNS)}) given on conflict do nothing`,
);

/** The same for messages that cost something: with their entries in the ledger. */
export const PAID_INSERT = new PreparedStatement(sql`
    with given as materialized (${given(MESSAGE_COLUMNS)}), written as (
      ${INTO_MESSAGES} from given on conflict do nothing returning id, account_id, channel, currency
    )
    ${ledgerOf(sql`written`)}`);

/** Idempotency keys are remembered for 24 hours. */
const KEYS_LIVE = sql.raw(`interval '24 hours'`);

/**
 * Inserts messages and takes their idempotency keys. Returns the ids that are on disk afterwards: a message whose key was
 * taken is not. A retry of a statement whose result was lost changes nothing.
 */
export const INSERT = new PreparedStatement(sql`
    with given as materialized (${given(MESSAGE_COLUMNS)}), keys as (
      insert into idempotency_keys (account_id, key, fingerprint, message_id, expires_at)
      select account_id, idempotency_key, fingerprint, id, now() + ${KEYS_LIVE} from given
      where idempotency_key is not null
      order by account_id, idempotency_key -- one order in all pods, so that inserts of the same keys cannot deadlock
      on conflict do nothing
      returning message_id
    ), written as (
      ${INTO_MESSAGES}
      from given
      where idempotency_key is null or id in (select message_id from keys)
      on conflict do nothing
      returning *
    ), called as (${callbacksOf(sql`written`)}), paid as (${ledgerOf(sql`written`)})
    select id from written union select m.id from messages m join given g on g.id = m.id`);

/** Adds hops and what they changed. Returns the ids of the changed messages; a retry changes nothing. */
export const CHANGE = new PreparedStatement(sql`
    with given as materialized (${given(CHANGE_COLUMNS)}), changed as (
    update messages m set
      status = g.status, send_by = g.send_by, next_at = now() + g.next_in_ms * interval '1 ms',
      only_provider = g.only_provider, claimed_until = now() + g.claim_ms * interval '1 ms', provider = g.provider,
      account = g.account, response_is_json = g.response_is_json,
      response = g.response, cost_micros = g.cost_micros, reason = g.reason, detail = g.detail,
      finished_at = g.finished_at, written_at = now(), hops = m.hops || g.hops
    from given g
    where m.id = g.id and jsonb_array_length(m.hops) = g.hops_before
    returning m.*
    ), called as (${callbacksOf(sql`changed`)}), paid as (${ledgerOf(sql`changed`)})
    select id from changed`);

/** The pod presumed dead did deliver: replaces the `unknown` of the pod that took the message over. */
export function correctStatement({ row, response = '' }: Entry<ChangeRow>): SQL {
  return sql`
    with given as (select ${row.id}::uuid as id, ${JSON.stringify(row.ledger ?? [])}::jsonb as ledger), changed as (
    update messages set status = 'delivered', provider = ${row.provider}, account = ${row.account},
      response = ${Buffer.from(response)}, response_is_json = ${row.response_is_json},
      cost_micros = ${row.cost_micros}, reason = null, detail = null, finished_at = ${row.finished_at}, written_at = now(),
      hops = hops || ${JSON.stringify(row.hops)}::jsonb
    where id = ${row.id} and status = 'unknown' returning *
    ) ${ledgerOf(sql`changed`)}`;
}

/** For a `with` clause: adds the entries that came with rows of `given` to the ledger, if those rows were written. */
function ledgerOf(written: SQL): SQL {
  return sql`
    insert into ledger_entries
      (message_id, kind, account_id, channel, provider, provider_account, amount_micros, currency, day)
    select w.id, e.kind, w.account_id, w.channel, e.provider, e.account, e.micros, w.currency, e.day
    from ${written} w join given g on g.id = w.id, jsonb_to_recordset(g.ledger) as e(
      kind text, provider text, account text, micros bigint, day date)
    on conflict do nothing`;
}

export function insertEntry(
  message: Message,
  { status, ending, claimMs }: Change,
  { currency, ledger }: { currency: string; ledger: InsertRow['ledger'] },
): Entry<InsertRow> {
  const ended = endingColumns(ending, message.hops.at(-1)?.at);
  const row = {
    id: message.id,
    account_id: message.accountId,
    channel: message.channel,
    is_json: typeof message.content !== 'string',
    status,
    may_pay: message.mayPay,
    priority: PRIORITIES.indexOf(message.priority),
    deliver_by: message.deliverBy,
    send_by: message.sendBy,
    claim_ms: claimMs,
    callback_url: message.callbackUrl,
    idempotency_key: message.idempotencyKey,
    fingerprint: message.fingerprint,
    request_id: message.requestId,
    traceparent: message.traceparent,
    provider: ended.provider,
    account: ended.account,
    response_is_json: ended.response_is_json,
    cost_micros: ended.cost_micros,
    currency,
    reason: ended.reason,
    detail: ended.detail,
    created_at: message.createdAt,
    finished_at: ended.finished_at,
    hops: message.hops,
    ledger,
  };
  return { row, text: textOf(message.content), response: responseOf(ending) };
}

/** What happened to a message since its last write. */
export function changeEntry(
  message: Message,
  { status, ending, nextInMs, claimMs }: Change,
  ledger: ChangeRow['ledger'],
): Entry<ChangeRow> {
  const row = {
    ...endingColumns(ending, message.hops.at(-1)?.at),
    id: message.id,
    hops_before: message.hopsOnDisk,
    status,
    send_by: message.sendBy,
    next_in_ms: nextInMs,
    only_provider: message.onlyProvider,
    claim_ms: claimMs,
    hops: message.hops.slice(message.hopsOnDisk),
    ledger,
  };
  return { row, text: undefined, response: responseOf(ending) };
}

/** Writes a row like that of a message, and deletes it. */
export function probeStatements(): SQL[] {
  const id = uuidv7();
  return [
    sql`insert into messages (id, account_id, status, text, may_pay, request_id, traceparent, cost_micros, currency,
      created_at, hops) values (${id}, ${NO_ACCOUNT}, 'failed', ${randomBytes(PROBE_BYTES)}, false, '', '', 0, '',
      now(), '[]')`,
    sql`delete from messages where id = ${id}`,
  ];
}

const NO_ACCOUNT = '00000000-0000-0000-0000-000000000000';
const PROBE_BYTES = 8_192;
