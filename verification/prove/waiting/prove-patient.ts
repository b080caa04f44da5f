import { readJournal, untilOver } from '../journal.js';
import { Poster } from '../poster.js';
import { freeQuota, System } from '../../testbed/system.js';
import type { Finding } from './finding.js';
import { lagsMs } from './lags.js';

export interface PatientExtent {
  messages: number;
  patienceMs: number;
  limit: number;
  blockMs: number;
  pods: number;
}

const LAG_MS = 100;
/** So few that gateways are not too busy to see when the last free send was answered: the block is counted from there. */
const AT_ONCE = 20;

/** Only messages that can wait, many windows' worth at once. */
export async function provePatient(extent: PatientExtent): Promise<Finding> {
  const system = new System();
  const { messages, patienceMs, limit, blockMs, pods } = extent;
  try {
    await system.start({ pods, env: freeQuota(extent) });
    const before = await costsOf(system);
    const startedMs = performance.now();
    const statuses = await sendAll(system, extent);
    await untilOver(system.databaseUrl, patienceMs + 10_000);
    const tookMs = performance.now() - startedMs;
    const after = await costsOf(system);
    const free = await countDeliveredFree(system.databaseUrl);
    const stats = await system.statsOf('free');
    const lags = lagsMs(stats);
    const isAnswered = statuses.every((status) => status === 200 || status === 202);
    const paid = (await system.statsOf('paid')).accepted;
    return {
      title: `${messages} patient messages (+${patienceMs / 1_000} s), ${limit} free per ${blockMs / 1_000} s, ${pods} gateways`,
      lines: [
        ['answered', countsOf(statuses)],
        ['delivered free, paid', `${free}, ${paid}, within ${(tookMs / 1_000).toFixed(1)} s`],
        ['refused by free', stats.refused],
        ['first send after a reopening, in ms', lags.join(' ')],
        ['SQL statements per delivered message', perMessage(after.statements - before.statements, messages)],
        ['Redis trips per delivered message', perMessage(after.trips - before.trips, messages)],
      ],
      missed: [
        ...(isAnswered && free === messages && paid === 0 ? [] : ['every message is delivered free']),
        ...(stats.refused === 0 ? [] : ['nothing is refused']),
        ...(lags.every((lag) => lag <= LAG_MS) ? [] : [`the first send is at most ${LAG_MS} ms after each reopening`]),
      ],
    };
  } finally {
    await system.stop();
  }
}

async function sendAll(system: System, { messages, patienceMs }: PatientExtent): Promise<(number | string)[]> {
  const poster = new Poster(system.origins.gateways, await system.logIn());
  const deliverBy = new Date(Date.now() + patienceMs).toISOString();
  const statuses: (number | string)[] = [];
  let next = 1;
  const sendNext = async (): Promise<void> => {
    while (next <= messages) {
      const message = `patient ${next}`;
      next += 1;
      statuses.push((await poster.post({ message, deliverBy })).status);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, sendNext));
  await poster.close();
  return statuses;
}

async function costsOf(system: System): Promise<{ statements: number; trips: number }> {
  const sum = async (name: string): Promise<number> =>
    (await system.metric(name)).reduce((total, value) => total + value, 0);
  return { statements: await sum('octo_journal_statements_total'), trips: await sum('octo_quota_trips_total') };
}

async function countDeliveredFree(databaseUrl: string): Promise<number> {
  const rows = await readJournal(databaseUrl);
  return rows.filter(({ status, provider }) => status === 'delivered' && provider === 'free').length;
}

function countsOf(statuses: readonly (number | string)[]): string {
  const names = [...new Set(statuses)];
  return names.map((name) => `${statuses.filter((status) => status === name).length} × ${name}`).join(', ');
}

function perMessage(count: number, messages: number): string {
  return (count / messages).toFixed(2);
}
