import { countMessages, untilSettled } from '../../testbed/journal.js';
import { Octo } from '../../testbed/octo.js';
import { medianOf } from '../../testbed/median.js';
import { Poster } from '../poster.js';
import { type Finding, LAG_MAX_MS, reopeningLags } from '../finding.js';

export interface PatientExtent {
  messages: number;
  patienceMs: number;
  limit: number;
  blockMs: number;
  pods: number;
}

/** The median is held to less than the longest lag, because a busy machine delays single sends. */
const LAG_MEDIAN_MAX_MS = 100;
/** Few enough that a gateway is not too busy to see the answer that begins a block. */
const IN_FLIGHT = 20;

/** Many windows' worth of messages that can wait, and no others. */
export async function provePatient(extent: PatientExtent): Promise<Finding> {
  const { messages, patienceMs, limit, blockMs, pods } = extent;
  const octo = await Octo.start(extent);
  try {
    const before = await costsOf(octo);
    const startedMs = performance.now();
    const statuses = await sendAll(octo, extent);
    await untilSettled(octo.stack.databaseUrl, patienceMs + 10_000);
    const tookS = (performance.now() - startedMs) / 1_000;
    const after = await costsOf(octo);
    const free = await countMessages(octo.stack.databaseUrl, `status = 'delivered' and provider = 'free'`);
    const stats = await octo.statsOf('free');
    const lags = reopeningLags(stats);
    const isAnswered = statuses.every((status) => status === 200 || status === 202);
    const paid = (await octo.statsOf('paid')).accepted;
    return {
      title: `${messages} messages that wait up to ${patienceMs / 1_000} s, ${limit} free per ${blockMs / 1_000} s, ${pods} gateways`,
      figures: [
        ['answered 200', statuses.filter((status) => status === 200).length],
        ['answered 202', statuses.filter((status) => status === 202).length],
        ['delivered free', free],
        ['delivered paid', paid],
        ['run time, s', tookS.toFixed(1)],
        ['refused by the free provider', stats.refused],
        ['first send after each reopening, ms', lags.join(' ')],
        ['SQL statements per delivered message', ((after.statements - before.statements) / messages).toFixed(2)],
        ['Redis trips per delivered message', ((after.trips - before.trips) / messages).toFixed(2)],
      ],
      goals: [
        [isAnswered && free === messages && paid === 0, 'every message is delivered free'],
        [stats.refused === 0, 'the provider refuses no message'],
        [medianOf(lags) <= LAG_MEDIAN_MAX_MS, `half of the reopenings are used within ${LAG_MEDIAN_MAX_MS} ms`],
        [Math.max(...lags) <= LAG_MAX_MS, `every reopening is used within ${LAG_MAX_MS} ms`],
      ],
    };
  } finally {
    await octo.stop();
  }
}

async function sendAll(octo: Octo, { messages, patienceMs }: PatientExtent): Promise<(number | string)[]> {
  const poster = new Poster(octo.origins.gateways, await octo.logIn());
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
  await Promise.all(Array.from({ length: IN_FLIGHT }, sendNext));
  await poster.close();
  return statuses;
}

async function costsOf(octo: Octo): Promise<{ statements: number; trips: number }> {
  const total = async (name: string): Promise<number> =>
    (await octo.metric(name)).reduce((sum, value) => sum + value, 0);
  return { statements: await total('octo_journal_statements_total'), trips: await total('octo_quota_trips_total') };
}
