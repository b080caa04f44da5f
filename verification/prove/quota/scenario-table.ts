import type { Table } from '../../testbed/results.js';
import type { Measures } from './measure.js';
import { limitsIn, type Scenario } from './scenarios.js';

export interface Row {
  scenario: Scenario;
  /** Undefined if the scenario did not run. */
  measures: Measures | undefined;
  missed: string[];
}

type Column<T> = [title: string, of: (value: T) => string];

const SCENARIO: Column<Scenario>[] = [
  ['policy', limitsIn],
  ['pods', ({ pods }) => String(pods)],
  ['load, fault or limiter', specialtyOf],
];

const MEASURES: Column<Measures>[] = [
  ['messages', ({ messages }) => String(messages)],
  ['free', ({ free }) => String(free)],
  ['possible', ({ possible }) => String(possible)],
  ['share', ({ free, possible }) => (possible === 0 ? '-' : `${((free / possible) * 100).toFixed(1)}%`)],
  ['over', ({ over }) => String(over)],
  ['refused', ({ refused }) => refusals(refused)],
  ['extra paid', ({ extraPaid }) => String(extraPaid)],
  ['lag p50/p99 ms', ({ lagMs }) => `${lagMs.p50.toFixed(0)}/${lagMs.p99.toFixed(0)}`],
  ['trips', ({ tripsPerMessage }) => tripsPerMessage?.toFixed(2) ?? '-'],
  ['wait ms', ({ longestWaitMs }) => longestWaitMs.toFixed(0)],
  ['after the fault', ({ recovery }) => (recovery ? `${recovery.free}/${recovery.possible}` : '-')],
];

const LEGEND = [
  'possible: what a sender could get accepted that knows all arrivals and sends in no time; share: free of possible',
  'refused: without a cause, + p probes that begin a block, + h that begin a pause for a limit not configured, + w of requests under way then, or while others used more tokens than estimated, + u for unknown outcomes, + f caused by another client, + o of the other client',
  'of tokens: free and possible without what exceeds the limit of a window; over: the most by which one was exceeded',
  'extra paid: messages paid for beyond those that no sender could have sent free',
  'lag: from a reopening to its first use; trips: Redis round trips a message; wait: the longest for a permit',
];

export function tableOf(rows: readonly Row[]): Table {
  const columns = [...SCENARIO, ...MEASURES].map(([title]) => title);
  const title = 'Quota: each limiter with the same arrivals, judged by the log of the free provider';
  const notes = rows.flatMap(missedOf);
  return { title, columns, rows: rows.map(cellsOf), notes: [...LEGEND, ...notes] };
}

/** One line for each missed goal of the scenario. */
export function missedOf({ scenario, measures, missed }: Row): string[] {
  const stallMs = measures?.stallMs ?? 0;
  // Latencies say little about Octo if the machine did not let a pod run.
  const stall = stallMs > 30 ? ` (a pod could not run for ${stallMs.toFixed(0)} ms)` : '';
  const name = [scenario.limiter, limitsIn(scenario), `${scenario.pods} pods`, specialtyOf(scenario)].join(' · ');
  return missed.map((goal) => `MISSED: ${name}: ${goal}${stall}`);
}

function cellsOf({ scenario, measures }: Row): string[] {
  const left = SCENARIO.map(([, of]) => of(scenario));
  if (measures === undefined) return [...left, ...MEASURES.map(() => '-')];
  return [...left, ...MEASURES.map(([, of]) => of(measures))];
}

/** How the scenario differs from Octo under steady load with headers. */
function specialtyOf({ load, limit, fault, limiter, announces }: Scenario): string {
  if (limiter !== 'octo') return load === 'steady' ? limiter : `${limiter}, ${load}`;
  const headers = announces || fault !== 'none' ? '' : ', no headers';
  const large = limit === undefined ? '' : `, quota of ${limit}`;
  return `${fault === 'none' ? load : fault}${large}${headers}`;
}

function refusals({
  unexplained,
  byUnknown,
  byHidden,
  underWay,
  probes,
  byForeign,
  ofForeign,
}: Measures['refused']): string {
  const causes = { p: probes, h: byHidden, w: underWay, u: byUnknown, f: byForeign, o: ofForeign };
  const parts = Object.entries(causes).flatMap(([mark, count]) => (count > 0 ? `${count}${mark}` : []));
  return [String(unexplained), ...parts].join('+');
}
