import { FAULTS } from './faults.js';
import type { Measures } from './measure.js';
import type { Scenario } from './scenarios.js';

export interface Row {
  scenario: Scenario;
  /** Undefined when it was not run, and then `notRun` says why. */
  measures: Measures | undefined;
  notRun?: string;
  /** Undefined unless it was run again because the machine had been too busy. */
  firstRun?: Row | undefined;
  missed: string[];
}

/** A message that waited for so long came to another window than it arrived in. */
const LONG_WAIT_MS = 500;

interface Column {
  title: string;
  width: number;
  of: (measures: Measures) => string;
}

const SCENARIO: { title: string; width: number; of: (scenario: Scenario) => string }[] = [
  { title: 'policy', width: 17, of: ({ policy }) => policy },
  { title: 'pods', width: 5, of: ({ pods }) => String(pods) },
  { title: 'load, fault or strategy', width: 30, of: whatIsSpecial },
];

const MEASURES: Column[] = [
  { title: 'msgs', width: 5, of: ({ messages }) => String(messages) },
  { title: 'free', width: 6, of: ({ free }) => String(free) },
  { title: 'of', width: 6, of: ({ possible }) => String(possible) },
  { title: 'share', width: 7, of: ({ free, possible }) => percent(free, possible) },
  { title: 'refused', width: 13, of: ({ refused }) => refusals(refused) },
  { title: 'paid+', width: 6, of: ({ paidMore }) => String(paidMore) },
  { title: 'open', width: 5, of: ({ paidWhileOpen }) => String(paidWhileOpen) },
  { title: 'lag p50/99', width: 11, of: ({ lagMs }) => `${lagMs.p50.toFixed(0)}/${lagMs.p99.toFixed(0)}` },
  {
    title: 'full',
    width: 5,
    of: ({ fullSpells }) => (fullSpells === undefined ? '-' : `${fullSpells.full}/${fullSpells.all}`),
  },
  { title: 'trips', width: 6, of: ({ tripsPerMessage }) => tripsPerMessage?.toFixed(2) ?? '-' },
  { title: 'wait', width: 5, of: ({ longestWaitMs }) => longestWaitMs.toFixed(0) },
  { title: 'lost/2×', width: 8, of: ({ lost, twice }) => `${lost}/${twice}` },
];

export const LEGEND = `free of: accepted by the free provider, of what a sender could have had that knows everything and takes no time
refused: unexplained + p probes that begin a block + u for what is unknown + f caused by others + o others' own
paid+: beyond the unavoidable   open: slots that lay idle meanwhile for longer than guard + answer time + 50 ms
lag: ms from a reopening to its first use   full: blocked windows used to their last   trips: to Redis, per message
wait: the longest for a permit, in ms   lost/2×: messages of which nobody heard / sent twice`;

export function header(): string {
  const left = SCENARIO.map(({ title, width }) => title.padEnd(width)).join('');
  return left + MEASURES.map(({ title, width }) => title.padStart(width)).join('');
}

/** One line, and others below it for what a fault cost and for goals missed. */
export function lines(row: Row): string {
  const left = SCENARIO.map(({ of, width }) => of(row.scenario).padEnd(width)).join('');
  const { measures } = row;
  if (measures === undefined) return `${left} not run: ${row.notRun}`;
  const first = left + MEASURES.map(({ of, width }) => of(measures).padStart(width)).join('');
  const again = row.firstRun === undefined ? [] : ['    run again: the machine was busy in the first run'];
  return [first, ...notes(row.scenario, measures), ...again, ...complaints(row, measures)].join('\n');
}

/** Latencies of a machine that stood still say little of what ran on it. */
function complaints({ missed }: Row, { stallMs }: Measures): string[] {
  const busy = stallMs > 30 ? ` (a pod was given no time for ${stallMs.toFixed(0)} ms)` : '';
  return missed.map((goal) => `    MISSED: ${goal}${busy}`);
}

export function markdown(rows: readonly Row[]): string {
  const titles = [...SCENARIO, ...MEASURES].map(({ title }) => title);
  const marks = titles.map((_, column) => (column < SCENARIO.length ? ':--' : '--:'));
  return [titles, marks, ...rows.map(cells)].map((line) => `| ${line.join(' | ')} |\n`).join('');
}

function cells({ scenario, measures, notRun = '' }: Row): string[] {
  const left = SCENARIO.map(({ of }) => of(scenario));
  if (measures === undefined) return [...left, `not run: ${notRun}`, ...MEASURES.slice(1).map(() => '')];
  return [...left, ...MEASURES.map(({ of }) => of(measures))];
}

/** Faults, and others than Octo, are shown under steady load with headers, unless they say otherwise. */
function whatIsSpecial({ load, limit, fault, strategy, announces, atOnce }: Scenario): string {
  if (strategy !== 'octo') return load === 'steady' ? strategy : `${strategy}, ${load}`;
  const without = announces || fault !== 'none' ? '' : ', no headers';
  if (atOnce !== undefined) return `${atOnce} at once${without}`;
  const large = limit === undefined ? '' : `, quota of ${limit}`;
  return `${fault === 'none' ? load : fault}${large}${without}`;
}

function notes({ fault, strategy }: Scenario, { free, possible, recovery, longestWaitMs }: Measures): string[] {
  if (strategy !== 'octo')
    return longestWaitMs < LONG_WAIT_MS ? [] : ['    it kept messages waiting, and so had them later'];
  if (fault === 'none') return [];
  const after = recovery === undefined ? '' : `; afterwards ${recovery.free} of ${recovery.possible}`;
  return [`    ${Math.max(0, possible - free)} free sends missing: ${FAULTS[fault].cost}${after}`];
}

function refusals({ ours, byUnknown, inherent, byForeign, ofForeign }: Measures['refused']): string {
  const explained = { p: inherent, u: byUnknown, f: byForeign, o: ofForeign };
  const parts = Object.entries(explained).flatMap(([mark, count]) => (count > 0 ? `${count}${mark}` : []));
  return [String(ours), ...parts].join('+');
}

function percent(part: number, whole: number): string {
  return whole === 0 ? '-' : `${((part / whole) * 100).toFixed(1)}%`;
}
