import { type SQL, sql } from 'drizzle-orm';

/** Most accounts that one claim serves: those whose turn it is. */
const ACCOUNTS_MAX = 32;
/** Extra candidates, because other pods may have locked the first ones. */
const SPARE_CANDIDATES = 256;

/**
 * Picks waiting messages for free slots. Order: messages that may not find a later slot before those that can, then the turn
 * of their account. Of one account, messages go by their priority, then by `sendBy`. An account gets twice as many turns as
 * one of the next lower priority.
 *
 * Turns are start-time fair queuing (Goyal, Vin, Cheng 1996) with a cost of one for each message: message n of an account
 * starts at `turn + n / weight`, where an account that had nothing waiting begins at the lowest turn of those that waited. So
 * no account starves another one, whatever priority its messages have, and none saves up turns while it is silent.
 * @param mayGo condition on `messages`
 * @param lastChanceMs a message whose last safe moment comes within this time may not find another slot
 * @param quota the provider account whose slots they are: each has turns of its own
 * @param shares how many messages of an account may go, where that is limited
 * @returns common table expressions without `with recursive`: `picked` has the ids, `written` writes the turns
 */
export function pickInTurn({
  mayGo,
  count,
  lastChanceMs,
  quota,
  shares,
}: {
  mayGo: SQL;
  count: number;
  lastChanceMs: number;
  quota: string;
  shares: Readonly<Record<string, number>>;
}): SQL {
  const weight = sql`power(2, 1 - coalesce(accounts.priority, 1))`;
  const canWait = sql`send_by > now() + ${lastChanceMs} * interval '1 ms'`;
  // Plain numbers: an estimate from an expression would make Postgres read all that wait.
  const most = sql.raw(String(Math.trunc(count) + SPARE_CANDIDATES));
  const shareOf = (id: SQL): SQL => sql`coalesce((${JSON.stringify(shares)}::jsonb ->> ${id}::text)::int, ${most})`;
  return sql`
    waiting_accounts (id) as (
      (select account_id from messages where status = 'waiting' order by account_id limit 1)
      union all
      select (select account_id from messages where status = 'waiting' and account_id > previous.id
        order by account_id limit 1)
      from waiting_accounts previous where previous.id is not null
    ), now_served (turn) as (
      select coalesce(max(served), 0) from account_turns where quota = ${quota}
    ), accounts_in_turn as materialized (
      select waiting_accounts.id, ${weight} as weight, greatest(account_turns.turn, now_served.turn) as turn
      from waiting_accounts cross join now_served
      left join accounts on accounts.id = waiting_accounts.id
      left join account_turns on account_turns.account_id = waiting_accounts.id and account_turns.quota = ${quota}
      cross join lateral (
        select ${canWait} as can_wait from messages where account_id = waiting_accounts.id and ${mayGo}
        order by messages.priority, send_by, messages.id limit 1
      ) first
      where ${shareOf(sql`waiting_accounts.id`)} > 0
      order by first.can_wait, 3, 1 limit ${sql.raw(String(ACCOUNTS_MAX))}
    ), candidates as materialized (
      select eligible.*, accounts_in_turn.id as account_id, weight, accounts_in_turn.turn + (place - 1) / weight as turn
      from accounts_in_turn cross join lateral (
        select id, send_by, ${canWait} as can_wait, row_number() over (order by priority, send_by, id) as place
        from (
          select id, priority, send_by from messages where account_id = accounts_in_turn.id and ${mayGo}
          order by priority, send_by, id limit ${most}
        ) first
      ) eligible
      where place <= ${shareOf(sql`accounts_in_turn.id`)}
      order by can_wait, turn, send_by, eligible.id limit ${most}
    ), picked as materialized (
      select messages.id, candidates.account_id, candidates.weight from candidates
      join messages on messages.id = candidates.id and ${mayGo}
      order by candidates.can_wait, candidates.turn, candidates.send_by, candidates.id
      limit ${count} for update of messages skip locked
    ), written as (
      insert into account_turns (quota, account_id, turn, served)
      select ${quota}, account_id, now_served.turn + count(*) / weight, (select min(turn) from candidates)
      from picked cross join now_served
      where (select count(*) from accounts_in_turn) > 1 group by account_id, weight, now_served.turn order by account_id
      on conflict (quota, account_id) do update set
        turn = excluded.turn + greatest(0, account_turns.turn - (select turn from now_served)),
        served = greatest(account_turns.served, excluded.served)
    )`;
}
