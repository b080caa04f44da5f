import { cloneMessage, countMessages, readJournal, untilSettled } from '../../testbed/journal.js';
import { Octo } from '../../testbed/octo.js';
import { waitUntil } from '../../../tools/stack/wait-until.js';
import { Poster } from '../poster.js';
import { type Finding, LAG_MAX_MS, reopeningLags } from '../finding.js';

export interface BacklogExtent {
  waiting: number;
  limit: number;
  blockMs: number;
  /** How many windows to watch. */
  windows: number;
  pods: number;
}

/** A gateway may grow by this much: less than a tenth of the messages' size in memory. */
const GROWTH_MAX_MB = 32;
const MB = 1_048_576;
const DAY_MS = 86_400_000;

/** More waiting messages than a gateway could hold: what they cost each window and each gateway. */
export async function proveBacklog(extent: BacklogExtent): Promise<Finding> {
  const { waiting, limit, blockMs, windows, pods } = extent;
  const octo = await Octo.start(extent);
  try {
    const id = await sendOne(octo);
    await addWaiting(octo, id, limit * (windows + 1));
    const few = await watch(octo, windows);
    await addWaiting(octo, id, waiting);
    const changedBefore = await countChanged(octo);
    const many = await watch(octo, windows);
    const changed = (await countChanged(octo)) - changedBefore;
    const growthMb = many.residentMb.map((value, index) => value - (few.residentMb[index] ?? 0));
    const inMb = (values: number[]): string => values.map((value) => value.toFixed(0)).join(' ');
    return {
      title: `${waiting} waiting messages, ${limit} free per ${blockMs / 1_000} s, ${pods} gateways, ${windows} windows`,
      figures: [
        ['sent', many.sent],
        ['refused by the free provider', many.refused],
        ['rows changed in the journal', changed],
        ['memory of each gateway before, MB', inMb(few.residentMb)],
        ['memory of each gateway with the backlog, MB', inMb(many.residentMb)],
        ['first send after each reopening, ms', many.lagsMs.join(' ')],
      ],
      goals: [
        // Rows of the current window may be claimed and not yet answered.
        [changed <= many.sent + limit, 'no more rows change than permits were granted'],
        [Math.max(...many.lagsMs) <= LAG_MAX_MS, `every reopening is used within ${LAG_MAX_MS} ms`],
        [many.refused === 0, 'the provider refuses no message'],
        [Math.max(...growthMb) <= GROWTH_MAX_MB, `no gateway grows by more than ${GROWTH_MAX_MB} MB`],
      ],
    };
  } finally {
    await octo.stop();
  }
}

async function sendOne(octo: Octo): Promise<string> {
  const poster = new Poster(octo.origins.gateways, await octo.logIn());
  const { status, id } = await poster.post({ message: 'one of many' }, { prefer: 'respond-async' });
  await poster.close();
  if (status !== 202 || id === undefined) throw new Error(`the message was answered ${status}`);
  await untilSettled(octo.stack.databaseUrl, 10_000);
  return id;
}

/** Copies of the delivered message, in the state it had when it was accepted. */
async function addWaiting({ stack: { databaseUrl } }: Octo, id: string, count: number): Promise<void> {
  const row = (await readJournal(databaseUrl)).find((candidate) => candidate.id === id);
  const tomorrow = new Date(Date.now() + DAY_MS);
  await cloneMessage(databaseUrl, id, {
    count,
    status: 'waiting',
    provider: null,
    response: null,
    cost_micros: 0,
    deliver_by: tomorrow,
    send_by: tomorrow,
    created_at: new Date(),
    claimed_until: null,
    finished_at: null,
    hops: row?.hops.filter(({ step }) => step === 'accepted' || step === 'waiting'),
  });
}

function countChanged({ stack: { databaseUrl } }: Octo): Promise<number> {
  return countMessages(databaseUrl, `hops @> '[{"step": "sending"}]'`);
}

interface Watched {
  sent: number;
  refused: number;
  lagsMs: number[];
  residentMb: number[];
}

/** From now until this many windows are used up. */
async function watch(octo: Octo, windows: number): Promise<Watched> {
  const isUsedUp = ({ blockedAt }: { blockedAt: string | null }): boolean => blockedAt !== null;
  const before = await octo.statsOf('free');
  const wanted = before.windows.filter(isUsedUp).length + windows;
  const areUsedUp = async (): Promise<boolean> =>
    (await octo.statsOf('free')).windows.filter(isUsedUp).length >= wanted;
  await waitUntil(areUsedUp, { what: `${windows} windows are used up`, deadlineMs: 300_000, everyMs: 100 });
  const after = await octo.statsOf('free');
  return {
    sent: after.accepted - before.accepted,
    refused: after.refused - before.refused,
    lagsMs: reopeningLags(after).slice(-windows),
    residentMb: (await octo.metric('process_resident_memory_bytes')).map((bytes) => bytes / MB),
  };
}
