import pg from 'pg';

const AT_ONCE = 100_000;

/** What so many requests of a thousand accounts would have left behind: over, or waiting until tomorrow for free quota. */
export async function addMessages(
  databaseUrl: string,
  { status, count }: { status: 'waiting' | 'delivered'; count: number },
): Promise<void> {
  const client = new pg.Client(databaseUrl);
  await client.connect();
  try {
    for (let left = count; left > 0; left -= AT_ONCE) {
      await client.query(
        `insert into messages (id, account_id, status, text, may_pay, deliver_by, send_by, request_id, traceparent, provider,
        response, cost_micros, currency, created_at, finished_at, hops)
      select (lpad(to_hex((extract(epoch from clock_timestamp()) * 1000)::bigint), 12, '0') || '7' || substr(md5(n.n::text), 1, 3)
          || '8' || substr(md5(random()::text), 1, 15))::uuid, ('00000000-0000-4000-8000-' || lpad((n.n % 1000)::text, 12, '0'))::uuid, $2::text,
        convert_to(repeat('x', 50), 'utf8'), false, now() + interval '1 day', now() + interval '1 day',
        gen_random_uuid()::text, '00-' || md5(n.n::text) || '-0000000000000001-00',
        case when $2::text = 'delivered' then 'paid' end,
        case when $2::text = 'delivered' then convert_to(repeat('x', 50), 'utf8') end, 0, 'USD', now(),
        case when $2::text = 'delivered' then now() end,
        jsonb_build_array(
          jsonb_build_object('at', n.at, 'pod', 'pod-1', 'step', 'accepted'),
          jsonb_build_object('at', n.at, 'pod', 'pod-1', 'step', 'sending', 'provider', 'paid'),
          jsonb_build_object('at', n.at, 'pod', 'pod-1', 'step', 'answered', 'provider', 'paid', 'outcome', 'delivered',
            'httpStatus', 200, 'costMicros', 2500, 'durationMs', 1.25),
          jsonb_build_object('at', n.at, 'pod', 'pod-1', 'step', $2::text))
      from (select n, to_char(now() at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as at from generate_series(1, $1) n) n`,
        [Math.min(left, AT_ONCE), status],
      );
    }
    await client.query('analyze messages');
  } finally {
    await client.end();
  }
}
