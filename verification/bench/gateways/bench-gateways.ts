// `npm run bench [-- --quick | --record] [--rounds N] [--only TEXT] [--markdown FILE]`: what a message costs with Octo and with
// other software, in one run. `--quick` measures only what needs no other package, and fails when a ratio is worse than
// recorded. `--record` writes the ratios that `--quick` compares with. Many rounds of `--only octo` show a memory leak.
import { readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { z } from 'zod';
import { commandOf, publish } from '../../testbed/results.js';
import { select } from '../../testbed/select.js';
import { BenchSetup } from '../bench-setup.js';
import { medianOf } from '../../testbed/median.js';
import { type Column, type Goal, ratiosOf, tableOf } from '../report.js';
import { OCTO, octoSides } from './octo-sides.js';
import { BARE, bareProxy, hasNginx, nginx, portkey, PORTKEY, targetAt, USUAL, usualGateway } from './other-sides.js';
import { preparePeers } from './peers.js';
import { measureRounds, type Sample, type Side } from './rounds.js';

const FULL = { hasPeers: true, rounds: 9, warmUpMs: 10_000, fullMs: 1_500, halfMs: 2_000 };
const QUICK = { hasPeers: false, rounds: 5, warmUpMs: 8_000, fullMs: 1_500, halfMs: 1_000 };

const RECORDED_FILE = 'verification/bench/recorded.json';
/** A ratio may be this much worse than recorded. */
const SLIP = 1.15;
/** A ratio has slipped when it is too high this often in a row. A recorded ratio is the median of as many. */
const LOOKS = 3;
const recordedSchema = z.record(z.string(), z.number());

type Extent = typeof FULL;
type Samples = Map<string, Sample[]>;
type Ratios = Record<string, number>;

/** @returns the exit code */
export async function benchGateways(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: {
      quick: { type: 'boolean', default: false },
      record: { type: 'boolean', default: false },
      rounds: { type: 'string' },
      only: { type: 'string', default: '' },
      markdown: { type: 'string' },
    },
  });
  const isQuick = values.quick || values.record;
  const extent = { ...(isQuick ? QUICK : FULL), ...(values.rounds && { rounds: Number(values.rounds) }) };
  const samples = await measure(extent, values.only);
  const table = tableOf('One message', COLUMNS, samples, goalsOf(samples));
  const command = commandOf('bench', args);
  publish({ title: 'What a message costs', command, tables: [table] }, values);
  if (values.record) await record(lowRatios(samples));
  return values.quick ? check(lowRatios(samples)) : 0;
}

async function measure(extent: Extent, only = ''): Promise<Samples> {
  const setup = await BenchSetup.start();
  try {
    const sides = select(only, await startSides(setup, extent.hasPeers), ({ name }) => name);
    return await measureRounds(setup, sides, targetAt(setup.provider), extent);
  } finally {
    await setup.stop();
  }
}

async function startSides(setup: BenchSetup, hasPeers: boolean): Promise<Side[]> {
  const own = [await bareProxy(setup), ...(await octoSides(setup))];
  if (!hasPeers) return own;
  const peersDir = preparePeers();
  const peers = [await portkey(setup, peersDir), await usualGateway(setup, peersDir)];
  return [...own, ...(hasNginx() ? [await nginx(setup)] : []), ...peers];
}

const cpuUs = (sample: Sample): number => sample.cpuUs;

const COLUMNS: Column<Sample>[] = [
  { title: 'CPU µs', digits: 0, of: cpuUs },
  { title: 'CPU µs at half load', digits: 0, of: ({ cpuAtHalfUs }) => cpuAtHalfUs },
  { title: 'messages/s', digits: 0, of: ({ perSecond }) => perSecond },
  { title: 'added p50 ms', digits: 2, of: ({ latencyMs, directMs }) => latencyMs.p50 - directMs.p50 },
  { title: 'added p99 ms', digits: 2, of: ({ latencyMs, directMs }) => latencyMs.p99 - directMs.p99 },
  { title: 'p99 ms', digits: 2, of: ({ latencyMs }) => latencyMs.p99 },
  { title: 'MB', digits: 0, of: ({ residentMb }) => residentMb },
  { title: 'failed', digits: 0, of: ({ failed }) => failed },
];

function goalsOf(samples: Samples): Goal[] {
  const ratio = (names: [string, string], of: (sample: Sample) => number): number =>
    medianOf(ratiosOf(samples, names, of));
  const p99 = ({ latencyMs }: Sample): number => latencyMs.p99;
  const added = (samples.get(OCTO.free) ?? []).map(({ latencyMs, directMs }) => latencyMs.p50 - directMs.p50);
  const goals: Goal[] = [
    { name: 'CPU, free path : bare proxy', value: ratio([OCTO.free, BARE], cpuUs), atMost: 2.5 },
    { name: 'CPU, paid path : bare proxy', value: ratio([OCTO.paid, BARE], cpuUs), atMost: 2.4 },
    { name: 'CPU, Portkey : free path', value: ratio([PORTKEY, OCTO.free], cpuUs), atLeast: 6 },
    { name: 'CPU, usual gateway : free path', value: ratio([USUAL, OCTO.free], cpuUs), atLeast: 5 },
    { name: 'p50 that the free path adds at half load, ms', value: medianOf(added), atMost: 0.6 },
    { name: 'p99 at half load, free path : bare proxy', value: ratio([OCTO.free, BARE], p99), atMost: 1.5 },
  ];
  // Without sides that were not measured.
  return goals.filter(({ value }) => !Number.isNaN(value));
}

/**
 * The second lowest round of each ratio to the bare proxy. A disturbance raises some rounds, or lowers one in which it hits
 * the bare proxy alone; slower code raises all of them.
 */
function lowRatios(samples: Samples): Ratios {
  const measured = Object.values(OCTO).filter((name) => samples.has(name) && samples.has(BARE));
  const low = (name: string): number =>
    ratiosOf(samples, [name, BARE], cpuUs).toSorted((one, other) => one - other)[1] ?? NaN;
  return Object.fromEntries(measured.map((name) => [`CPU, ${name} : ${BARE}`, Number(low(name).toFixed(2))]));
}

async function record(first: Ratios): Promise<void> {
  const all = [first];
  while (all.length < LOOKS) all.push(lowRatios(await measure(QUICK)));
  const medians = Object.keys(first).map((name) => [name, medianOf(all.map((ratios) => ratios[name] ?? NaN))]);
  writeFileSync(RECORDED_FILE, `${JSON.stringify(Object.fromEntries(medians), undefined, 2)}\n`);
}

/**
 * Measures again while a ratio is too high: a busy machine is too high once, slower code every time.
 * @returns the exit code
 */
async function check(first: Ratios): Promise<number> {
  const recorded = recordedSchema.parse(JSON.parse(readFileSync(RECORDED_FILE, 'utf8')));
  const slippedIn = (ratios: Ratios): string[] => {
    for (const [name, value] of Object.entries(ratios)) console.log(`${name}: ${value}, recorded: ${recorded[name]}`);
    return Object.keys(ratios).filter((name) => (ratios[name] ?? 0) > (recorded[name] ?? Infinity) * SLIP);
  };
  let slipped = slippedIn(first);
  for (let looks = 1; looks < LOOKS && slipped.length > 0; looks += 1) {
    console.log(`more than ${Math.round((SLIP - 1) * 100)} % above the recorded ratio: measuring again`);
    const again = slippedIn(lowRatios(await measure(QUICK)));
    slipped = slipped.filter((name) => again.includes(name));
  }
  for (const name of slipped) console.log(`SLIPPED: ${name}`);
  return slipped.length === 0 ? 0 : 1;
}
