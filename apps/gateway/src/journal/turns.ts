import { type SQL, sql } from 'drizzle-orm';

/** Other pods may be claiming the first messages at the same time: so many more are looked at. */
const SPARE_CANDIDATES = 256;

/**
 * Picks waiting messages for free slots: by priority, then those that may not find a later slot before those that can, then
 * the accounts in turn, earliest `sendBy` first within an account. An account of higher priority gets twice as many turns.
 *
 * Turns are start-time fair queuing (Goyal, Vin, Cheng 1996) with a cost of one for each message: message n of an account
 * starts at `turn + n / weight`, where an account that had nothing waiting begins at the turn that is being served. So no
 * account starves another one, and none saves up turns while it is silent.
 * @param mayGo which messages can go, as a condition on `messages`
 * @param lastChanceMs a message whose last safe moment comes within this time may not find another slot
 * @returns the common table expressions `picked` and `served`; without `with recursive`
 */
export function pickInTurn({ mayGo, count, lastChanceMs }: { mayGo: SQL; count: number; lastChanceMs: number }): SQL {
  const weight = sql`power(2, 1 - coalesce(accounts.priority, 1))`;
  return sql`
    waiting_accounts (id) as (
      (select account_id from messages where status = 'waiting' order by account_id limit 1)
      union all
      select (select account_id from messages where status = 'waiting' and account_id > previous.id
        order by account_id limit 1)
      from waiting_accounts previous where previous.id is not null
    ), waiting_count (accounts) as (
      select count(id) from waiting_accounts
    ), now_served (turn) as (
      select coalesce(max(started), 0) from account_turns
    ), candidates as (
      select first.*, waiting_accounts.id as account_id, ${weight} as weight,
        greatest(account_turns.turn, now_served.turn) + (first.place - 1) / ${weight} as turn
      from waiting_accounts cross join now_served cross join waiting_count
      left join accounts on accounts.id = waiting_accounts.id
      left join account_turns on account_turns.account_id = waiting_accounts.id
      cross join lateral (
        select id, priority, send_by, send_by > now() + ${lastChanceMs} * interval '1 ms' as can_wait,
          row_number() over (order by priority, send_by, id) as place
        from (
          select id, priority, send_by from messages where account_id = waiting_accounts.id and ${mayGo}
          order by priority, send_by, id limit ${count}::int + ${SPARE_CANDIDATES}::int / waiting_count.accounts
        ) eligible
      ) first
    ), picked as materialized (
      select messages.id, candidates.account_id, candidates.turn, candidates.weight from candidates
      join messages on messages.id = candidates.id and messages.status = 'waiting'
      order by candidates.priority, candidates.can_wait, candidates.turn, candidates.send_by, candidates.id
      limit ${count} for update of messages skip locked
    ), served as (
      insert into account_turns (account_id, turn, started)
      select account_id, max(now_served.turn) + count(*) / max(weight), max(picked.turn) from picked cross join now_served
      where (select accounts from waiting_count) > 1 group by account_id order by account_id
      on conflict (account_id) do update set
        turn = excluded.turn + greatest(0, account_turns.turn - (select turn from now_served)),
        started = greatest(account_turns.started, excluded.started)
    )`;
}
