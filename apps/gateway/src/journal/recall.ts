import { sql } from 'drizzle-orm';
import { DELIVER_BY_MAX_MS } from '#contracts';
import { type Database, firstIdOf } from '#database';
import type { Recall } from '#quota';

/** Requests are grouped by their age, to this many parts of it. */
const PARTS = 200;
/** Ids have the time of the pod that accepted the message; its clock may be this wrong. */
const CLOCK_ERROR_MAX_MS = 86_400_000;

/**
 * Reads in the journal what was sent to an account and may have been counted. A request counts as sent when its outcome was
 * written, by the clock of Postgres: no later than that. Without an outcome it may have been sent just now.
 * The epoch of its permit is in the hop before the answer.
 */
export function recallFrom(db: Database): Recall {
  return async (account, sinceMs, amountOf) => {
    const oldestId = firstIdOf(new Date(Date.now() - sinceMs - DELIVER_BY_MAX_MS - CLOCK_ERROR_MAX_MS));
    const { rows } = await db.execute<{ ago_ms: number; requests: number; epoch: number | null }>(sql`
      select floor(exp(floor(ln(greatest(age_ms, 1)) * ${PARTS}) / ${PARTS}))::float8 as ago_ms, epoch, sum(amount)::float8 as requests
      from (
        select
          case hop->>'step' when 'answered' then
            extract(epoch from now() - coalesce(written_at, finished_at, created_at)) * 1000 else 0 end::float8 as age_ms,
          (case hop->>'step' when 'answered' then hops->(place::int - 2)->>'epoch' else hop->>'epoch' end)::float8 as epoch,
          coalesce((hop->'used'->>${amountOf ?? null})::float8, 1) as amount
        from messages, jsonb_array_elements(hops) with ordinality as hops_of_message(hop, place)
        where id >= ${oldestId} and coalesce(hop->>'account', hop->>'provider') = ${account}
          and (hop->>'step' = 'answered' and hop->>'outcome' <> 'refused' and hop->'sent' is null
            or hop->>'step' = 'sending' and place = jsonb_array_length(hops))
      ) sent
      where age_ms <= ${sinceMs}
      group by 1, 2`);
    return rows.map(({ ago_ms, requests, epoch }) => ({ agoMs: ago_ms, requests, epoch: epoch ?? undefined }));
  };
}
