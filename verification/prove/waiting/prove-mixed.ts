import { setTimeout as delay } from 'node:timers/promises';
import { readJournal, untilOver } from '../journal.js';
import { Poster } from '../poster.js';
import { freeQuota, System } from '../../testbed/system.js';
import type { Finding } from './finding.js';
import { loadOf, type UrgentPattern } from './loads.js';
import { leastPaid, type Load } from './offline-optimum.js';
import { impatient, simulate, STRATEGIES } from './simulate.js';

export interface MixedExtent {
  durationMs: number;
  seed: number;
  pods: number;
}

interface Mix {
  pattern: UrgentPattern;
  name: string;
  /** Urgent messages that come while a block lasts, in windows' worth. */
  pressure: number;
  /** Whether anybody who does not know the future can come within `NEAR` of the optimum. */
  isJudged: boolean;
}

const LIMIT = 20;
const BLOCK_MS = 2_000;
const POLICY = { policy: 'count-then-block', limit: LIMIT, blockMs: BLOCK_MS, startsAt: 'last-accept' } as const;
/** Patient messages that come while a block lasts, in windows' worth. */
const PATIENT = 0.3;
const PATIENCE_MS = 6 * BLOCK_MS;
/** What is paid for may exceed the least by this part. */
const NEAR = 0.05;
/** Of the naive ways, which are computed: as good as this machine's apps. */
const DELAYS = { answerMs: 5, reactionMs: 20 };

const MIXES: readonly Mix[] = [
  { name: 'at random', pattern: 'poisson', pressure: 3, isJudged: true },
  { name: 'with swings', pattern: { swingMs: 8 * BLOCK_MS }, pressure: 3, isJudged: true },
  { name: 'in batches of 10', pattern: { batch: LIMIT / 2 }, pressure: 3, isJudged: true },
  { name: 'at random', pattern: 'poisson', pressure: 1, isJudged: false },
];

/** Urgent messages, which are paid for while free is blocked, beside some that can wait. */
export async function proveMixed(extent: MixedExtent): Promise<Finding> {
  const rows: string[] = [];
  const missed: string[] = [];
  for (const mix of MIXES) {
    const outcome = await run(mix, extent);
    rows.push(rowOf(mix, outcome));
    missed.push(...goalsMissed(mix, outcome));
  }
  return {
    title:
      `mixed: ${LIMIT} free per ${BLOCK_MS / 1_000} s, patient ones +${PATIENCE_MS / 1_000} s, ${extent.pods} gateways, ` +
      `${extent.durationMs / 1_000} s each; paid for, beside the least for somebody who knew all arrivals\n` +
      '(* so few urgent ones that whoever does not know the future cannot come near)',
    lines: [HEADER, ...rows],
    missed,
  };
}

interface Outcome {
  load: Load;
  paid: number;
  refused: number;
  undelivered: number;
}

async function run(mix: Mix, { durationMs, seed, pods }: MixedExtent): Promise<Outcome> {
  const system = new System();
  try {
    await system.start({ pods, env: freeQuota(POLICY) });
    const perMs = LIMIT / BLOCK_MS;
    const planned = loadOf({
      urgentPerMs: mix.pressure * perMs,
      pattern: mix.pattern,
      patientPerMs: PATIENT * perMs,
      patienceMs: [PATIENCE_MS],
      durationMs,
      seed,
    });
    const load = await send(system, planned);
    await untilOver(system.databaseUrl, PATIENCE_MS + 10_000);
    const journal = await readJournal(system.databaseUrl);
    const delivered = journal.filter(({ status }) => status === 'delivered').length;
    return {
      load,
      paid: (await system.statsOf('paid')).accepted,
      refused: (await system.statsOf('free')).refused,
      undelivered: load.urgentAtMs.length + load.patients.length - delivered,
    };
  } finally {
    await system.stop();
  }
}

/** @returns the arrivals as they were */
async function send(system: System, { urgentAtMs, patients }: Load): Promise<Load> {
  const poster = new Poster(system.origins.gateways, await system.logIn());
  const startMs = performance.now();
  const sinceStart = (): number => performance.now() - startMs;
  const sent: { urgentAtMs: number[]; patients: Load['patients'][number][] } = { urgentAtMs: [], patients: [] };
  const sendUrgent = async (atMs: number): Promise<void> => {
    await delay(atMs - sinceStart());
    sent.urgentAtMs.push(sinceStart());
    await poster.post({ message: 'urgent' });
  };
  const sendPatient = async (atMs: number): Promise<void> => {
    await delay(atMs - sinceStart());
    sent.patients.push({ atMs: sinceStart(), sendByMs: sinceStart() + PATIENCE_MS });
    await poster.post({ message: 'patient', deliverBy: new Date(Date.now() + PATIENCE_MS).toISOString() });
  };
  await Promise.all([...urgentAtMs.map(sendUrgent), ...patients.map(({ atMs }) => sendPatient(atMs))]);
  await poster.close();
  return sent;
}

const COLUMNS: readonly { title: string; width: number; of: (mix: Mix, outcome: Outcome) => string | number }[] = [
  { title: 'urgent come', width: 18, of: ({ name, isJudged }) => name + (isJudged ? '' : ' *') },
  { title: 'urgent', width: 8, of: (_mix, { load }) => load.urgentAtMs.length },
  { title: 'patient', width: 9, of: (_mix, { load }) => load.patients.length },
  { title: 'paid', width: 7, of: (_mix, { paid }) => paid },
  { title: 'least', width: 7, of: (_mix, { load }) => least(load) },
  { title: 'ratio', width: 8, of: (_mix, { load, paid }) => (paid / least(load)).toFixed(3) },
  { title: 'if nobody waited', width: 18, of: (_mix, { load }) => paidBy('at once', impatient(load)) },
  { title: 'patient first', width: 15, of: (_mix, { load }) => paidBy('at once', load) },
  { title: 'patient last', width: 14, of: (_mix, { load }) => paidBy('at the last', load) },
];

const HEADER = COLUMNS.map(({ title, width }, index) => pad(title, width, index)).join('');

function rowOf(mix: Mix, outcome: Outcome): string {
  return COLUMNS.map(({ width, of }, index) => pad(String(of(mix, outcome)), width, index)).join('');
}

function pad(text: string, width: number, column: number): string {
  return column === 0 ? text.padEnd(width) : text.padStart(width);
}

function goalsMissed({ name, isJudged }: Mix, { load, paid, refused, undelivered }: Outcome): string[] {
  return [
    ...(isJudged && paid > least(load) * (1 + NEAR) ? [`${name}: at most 5 % more are paid for than the least`] : []),
    ...(refused === 0 ? [] : [`${name}: nothing is refused, but ${refused} were`]),
    ...(undelivered === 0 ? [] : [`${name}: everything is delivered, but ${undelivered} were not`]),
  ];
}

function least(load: Load): number {
  return leastPaid(load, POLICY);
}

function paidBy(strategy: keyof typeof STRATEGIES, load: Load): number {
  const { urgent, patient } = simulate(load, POLICY, STRATEGIES[strategy], DELAYS);
  return urgent + patient;
}
