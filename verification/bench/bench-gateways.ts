// `npm run bench [-- --quick | --record] [--only TEXT]`: what a message costs, here and with others, in one run. The quick form
// takes what needs no package of others, and fails when a ratio has slipped from the recorded one.
import { readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { z } from 'zod';
import { only } from '../testbed/only.js';
import { preparePeers } from './peers.js';
import { type Bar, bars } from './plot.js';
import { publish, type Ratio, type Report } from './report.js';
import { type Extent, measureRounds, type Sample } from './rounds.js';
import { OCTO, octoSides } from './sides/octo.js';
import { BARE, bareProxy, direct, hasNginx, nginx, portkey, PORTKEY, USUAL, usualWay } from './sides/others.js';
import type { Side } from './sides/side.js';
import { type Server, Site } from './site.js';
import { spreadOf } from './statistics.js';

const FULL: Extent = { rounds: 9, warmUpMs: 10_000, fullMs: 1_500, halfMs: 2_000 };
const QUICK: Extent = { rounds: 5, warmUpMs: 8_000, fullMs: 1_500, halfMs: 1_000 };

/** How much a ratio may be worse than it was recorded. */
const SLIP = 1.15;
/** How often it is measured before it is believed to have slipped, and before it is recorded. */
const LOOKS = 3;
const recordedSchema = z.record(z.string(), z.number());

/** @returns the exit code */
export async function benchGateways(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: {
      quick: { type: 'boolean', default: false },
      record: { type: 'boolean', default: false },
      only: { type: 'string', default: '' },
      json: { type: 'string' },
      markdown: { type: 'string' },
      svg: { type: 'string' },
    },
  });
  const isQuick = values.quick || values.record;
  const samples = await measure({ isQuick, text: values.only });
  const report = reportOf(samples);
  publish(report, values);
  if (values.svg !== undefined)
    writeFileSync(values.svg, bars({ title: 'CPU for each message, µs', bars: cpuBars(report) }));
  if (values.record) await record(lowRatios(samples));
  return values.quick ? check(lowRatios(samples)) : 0;
}

async function measureAgain(): Promise<Ratios> {
  return lowRatios(await measure({ isQuick: true, text: '' }));
}

async function measure({ isQuick, text }: { isQuick: boolean; text: string }): Promise<Map<string, Sample[]>> {
  const site = await Site.start();
  try {
    const provider = await site.startProvider();
    const sides = await startSides(site, provider, isQuick);
    const wanted = only(text, sides, ({ name }) => name);
    return await measureRounds(site, wanted, direct(provider), isQuick ? QUICK : FULL);
  } finally {
    await site.stop();
  }
}

async function startSides(site: Site, provider: Server, isQuick: boolean): Promise<Side[]> {
  const own = [await bareProxy(site, provider), ...(await octoSides(site, provider))];
  if (isQuick) return own;
  const peersDir = preparePeers();
  const others = [await portkey(site, provider, peersDir), await usualWay(site, provider, peersDir)];
  return [...own, ...(hasNginx() ? [await nginx(site, provider)] : []), ...others];
}

const COLUMNS: { title: string; digits: number; of: (sample: Sample) => number }[] = [
  { title: 'CPU µs', digits: 0, of: ({ cpuUs }) => cpuUs },
  { title: 'at half load', digits: 0, of: ({ cpuAtHalfUs }) => cpuAtHalfUs },
  { title: 'messages/s', digits: 0, of: ({ perSecond }) => perSecond },
  { title: '+p50 ms', digits: 2, of: ({ latencyMs, directMs }) => latencyMs.p50 - directMs.p50 },
  { title: '+p99 ms', digits: 2, of: ({ latencyMs, directMs }) => latencyMs.p99 - directMs.p99 },
  { title: '+p99.9 ms', digits: 2, of: ({ latencyMs, directMs }) => latencyMs.p999 - directMs.p999 },
  { title: 'p99 ms', digits: 2, of: ({ latencyMs }) => latencyMs.p99 },
  { title: 'MB', digits: 0, of: ({ residentMb }) => residentMb },
  { title: 'failed', digits: 0, of: ({ failed }) => failed },
];

function reportOf(samples: Map<string, Sample[]>): Report {
  return {
    title: 'One message',
    columns: COLUMNS.map(({ title }) => title),
    digits: COLUMNS.map(({ digits }) => digits),
    rows: [...samples].map(([name, rounds]) => ({ name, figures: COLUMNS.map(({ of }) => spreadOf(rounds.map(of))) })),
    ratios: ratiosOf(samples),
  };
}

function ratiosOf(samples: Map<string, Sample[]>): Ratio[] {
  const ratio = (one: string, other: string, of: (sample: Sample) => number): number =>
    spreadOf(inTurns(samples, one, other, of)).median;
  const cpu = ({ cpuUs }: Sample): number => cpuUs;
  const p99 = ({ latencyMs }: Sample): number => latencyMs.p99;
  const added = spreadOf((samples.get(OCTO.free) ?? []).map(({ latencyMs, directMs }) => latencyMs.p50 - directMs.p50));
  const found: Ratio[] = [
    { name: 'CPU, free path : bare proxy', value: ratio(OCTO.free, BARE, cpu), atMost: 2.5 },
    { name: 'CPU, paid path : bare proxy', value: ratio(OCTO.paid, BARE, cpu), atMost: 2.4 },
    { name: 'CPU, Portkey : free path', value: ratio(PORTKEY, OCTO.free, cpu), atLeast: 6 },
    { name: 'CPU, the usual way : free path', value: ratio(USUAL, OCTO.free, cpu), atLeast: 5 },
    { name: 'p50 added by the free path at half load, ms', value: added.median, atMost: 0.6 },
    { name: 'p99 at half load, free path : bare proxy', value: ratio(OCTO.free, BARE, p99), atMost: 1.5 },
  ];
  // Of sides that were not measured there is nothing to say.
  return found.filter(({ value }) => !Number.isNaN(value));
}

/** Of each round: one side to another. */
function inTurns(samples: Map<string, Sample[]>, one: string, other: string, of: (sample: Sample) => number): number[] {
  const others = samples.get(other) ?? [];
  return (samples.get(one) ?? []).flatMap((sample, round) => {
    const beside = others[round];
    return beside === undefined ? [] : of(sample) / of(beside);
  });
}

const RECORDED = 'verification/bench/recorded.json';

type Ratios = Record<string, number>;

/**
 * In the round that says least but one: what disturbs the machine for a moment raises some, or lowers one that meets the
 * bare proxy alone; slower code raises all.
 */
function lowRatios(samples: Map<string, Sample[]>): Ratios {
  const low = (name: string): number =>
    inTurns(samples, name, BARE, ({ cpuUs }) => cpuUs).toSorted(ascending)[1] ?? NaN;
  const measured = Object.values(OCTO).filter((name) => samples.has(name) && samples.has(BARE));
  return Object.fromEntries(measured.map((name) => [`CPU, ${name} : ${BARE}`, Number(low(name).toFixed(2))]));
}

const ascending = (one: number, other: number): number => one - other;

async function record(first: Ratios): Promise<void> {
  const all = [first];
  while (all.length < LOOKS) all.push(await measureAgain());
  const medians = Object.keys(first).map((name) => [name, spreadOf(all.map((ratios) => ratios[name] ?? NaN)).median]);
  writeFileSync(RECORDED, `${JSON.stringify(Object.fromEntries(medians), undefined, 2)}\n`);
}

/**
 * Again where a busy machine may be to blame: what the code has become slower by is there each time.
 * @returns the exit code
 */
async function check(first: Ratios): Promise<number> {
  const recorded = recordedSchema.parse(JSON.parse(readFileSync(RECORDED, 'utf8')));
  const slippedIn = (ratios: Ratios): string[] => {
    for (const [name, value] of Object.entries(ratios)) console.log(`${name}: ${value}, recorded: ${recorded[name]}`);
    return Object.keys(ratios).filter((name) => (ratios[name] ?? 0) > (recorded[name] ?? Infinity) * SLIP);
  };
  let slipped = slippedIn(first);
  for (let looks = 1; looks < LOOKS && slipped.length > 0; looks += 1) {
    console.log(`above what is recorded by more than ${Math.round((SLIP - 1) * 100)} %: once more`);
    const again = slippedIn(await measureAgain());
    slipped = slipped.filter((name) => again.includes(name));
  }
  for (const name of slipped) console.log(`SLIPPED: ${name}`);
  return slipped.length === 0 ? 0 : 1;
}

function cpuBars({ rows }: Report): Bar[] {
  return rows.flatMap(({ name, figures: [cpu] }) => (cpu === undefined ? [] : { name, ...cpu }));
}
