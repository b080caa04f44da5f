import { type SQL, sql } from 'drizzle-orm';

/** An array of one hop, with Postgres's time. */
export function hopOf({ step, pod }: { step: string; pod: string }, details: SQL = sql``): SQL {
  const at = sql`to_char(now() at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`;
  const fields = sql`'at', ${at}, 'pod', ${pod}::text, 'step', ${step}::text${details}`;
  return sql`jsonb_build_array(jsonb_strip_nulls(jsonb_build_object(${fields})))`;
}

/** Cancels waiting messages, but none that a provider may have delivered. Returns the ids of those that were waiting. */
export function cancelWaiting(messages: SQL, { detail, pod }: { detail: string; pod: string }): SQL {
  return sql`
    with ended as (
      update messages set status = 'cancelled', reason = 'cancelled', detail = ${detail}, finished_at = now(),
        hops = hops || ${hopOf({ step: 'cancelled', pod })}
      where ${messages} and status = 'waiting' and only_provider is null
      returning *
    ), called as (${callbacksOf(sql`ended`)})
    select id from ended`;
}

/**
 * For a `with` clause: inserts the callbacks of ended messages in the statement that ends them. A callback names the
 * message and how it ended; its texts are available to the logged-in account only.
 */
export function callbacksOf(ended: SQL): SQL {
  const timestamp = (column: SQL): SQL => sql`to_char(${column} at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`;
  return sql`
    insert into callbacks (message_id, account_id, url, payload)
    select id, account_id, callback_url, jsonb_build_object(
      'type', 'message.' || status,
      'timestamp', ${timestamp(sql`finished_at`)},
      'data', jsonb_build_object(
        'id', id, 'status', status, 'provider', provider, 'costMicros', cost_micros, 'currency', currency,
        'reason', reason, 'detail', detail, 'createdAt', ${timestamp(sql`created_at`)},
        'finishedAt', ${timestamp(sql`finished_at`)}))::text
    from ${ended} where callback_url is not null and finished_at is not null
    on conflict do nothing`;
}
