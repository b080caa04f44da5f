import pg from 'pg';
import { v7 as uuidV7 } from 'uuid';
import { z } from 'zod';
import { waitUntil } from '../../../tools/stack/wait-until.js';
import { untilOver } from '../journal.js';
import { Poster } from '../poster.js';
import { freeQuota, System } from '../../testbed/system.js';
import type { Finding } from './finding.js';
import { lagsMs } from './lags.js';

export interface BacklogExtent {
  waiting: number;
  limit: number;
  blockMs: number;
  /** How many windows are watched. */
  windows: number;
  pods: number;
}

/** What a pod may grow by: less than a tenth of what the messages would take in it. */
const GROWTH_MAX_MB = 32;
const MB = 1_048_576;

/** So many that wait that nobody could hold them: what a window and a pod take then. */
export async function proveBacklog(extent: BacklogExtent): Promise<Finding> {
  const system = new System();
  const { waiting, limit, blockMs, windows, pods } = extent;
  let database: pg.Client | undefined;
  try {
    await system.start({ pods, env: freeQuota(extent) });
    database = new pg.Client(system.databaseUrl);
    await database.connect();
    const pattern = await sendOne(system);
    await multiply(database, pattern, limit * (windows + 1));
    const few = await watch(system, extent);
    await multiply(database, pattern, waiting);
    const touchedBefore = await countTouched(database);
    const many = await watch(system, extent);
    // Those of the window under way may have been claimed and not be answered yet.
    const touched = (await countTouched(database)) - touchedBefore;
    const growthMb = many.residentMb.map((value, index) => value - (few.residentMb[index] ?? 0));
    return {
      title: `${waiting} waiting messages, ${limit} free per ${blockMs / 1_000} s, ${pods} gateways, ${windows} windows`,
      lines: [
        ['sent, refused', `${many.sent}, ${many.refused}`],
        ['rows changed in the journal', touched],
        ['memory of each gateway before, in MB', few.residentMb.map((value) => value.toFixed(0)).join(' ')],
        ['and with all that waits', many.residentMb.map((value) => value.toFixed(0)).join(' ')],
        ['first send after a reopening, in ms', many.lagsMs.join(' ')],
      ],
      missed: [
        ...(touched <= many.sent + limit ? [] : ['only as many rows are changed as there are permits']),
        ...(many.sent >= windows * limit ? [] : ['every window is used to its last']),
        ...(many.refused === 0 ? [] : ['nothing is refused']),
        ...(Math.max(...growthMb) <= GROWTH_MAX_MB ? [] : [`no gateway grows by more than ${GROWTH_MAX_MB} MB`]),
      ],
    };
  } finally {
    await database?.end();
    await system.stop();
  }
}

/** @returns the id of a message that was accepted to be sent later, and is over */
async function sendOne(system: System): Promise<string> {
  const poster = new Poster(system.origins.gateways, await system.logIn());
  const { id, status } = await poster.post({ message: 'one of many' }, { prefer: 'respond-async' });
  await poster.close();
  if (status !== 202 || id === undefined) throw new Error(`a message was answered ${status}`);
  await untilOver(system.databaseUrl, 10_000);
  return id;
}

/** As many as that one, as they were when it had been accepted: what a day of requests would have written. */
async function multiply(database: pg.Client, id: string, count: number): Promise<void> {
  const statement = `
    insert into messages (id, account_id, status, text, may_pay, deliver_by, send_by, request_id, traceparent,
      cost_micros, currency, created_at, hops)
    select n.id, account_id, 'waiting', text, may_pay, now() + interval '1 day', now() + interval '1 day', request_id,
      traceparent, 0, currency, now(),
      (select jsonb_agg(hop order by place) from jsonb_array_elements(hops) with ordinality h(hop, place)
        where hop ->> 'step' in ('accepted', 'waiting'))
    from messages m, unnest($2::uuid[]) n(id) where m.id = $1`;
  await database.query(statement, [id, Array.from({ length: count }, () => uuidV7())]);
}

/** How many of those that waited were ever claimed. */
async function countTouched(database: pg.Client): Promise<number> {
  const { rows } = await database.query(`select count(*)::int n from messages where hops @> '[{"step": "sending"}]'`);
  return z.tuple([z.object({ n: z.int() })]).parse(rows)[0].n;
}

interface Watched {
  sent: number;
  refused: number;
  lagsMs: number[];
  residentMb: number[];
}

/** From now until that many windows were used up. */
async function watch(system: System, { windows }: BacklogExtent): Promise<Watched> {
  const before = await system.statsOf('free');
  const isFull = ({ blockedAt }: { blockedAt: string | null }): boolean => blockedAt !== null;
  const wanted = before.windows.filter(isFull).length + windows;
  const areFull = async (): Promise<boolean> => (await system.statsOf('free')).windows.filter(isFull).length >= wanted;
  await waitUntil(areFull, { what: `${windows} windows are used up`, deadlineMs: 300_000, everyMs: 100 });
  const after = await system.statsOf('free');
  return {
    sent: after.accepted - before.accepted,
    refused: after.refused - before.refused,
    lagsMs: lagsMs(after).slice(-windows),
    residentMb: (await system.metric('process_resident_memory_bytes')).map((bytes) => bytes / MB),
  };
}
