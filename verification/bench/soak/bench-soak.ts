// `npm run bench -- soak [--minutes N]`: one gateway near what it can take, window after window, and what becomes of it: a
// leak shows as a slope. Before that, how soon it is ready and what it holds when it does nothing.
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { createDatabase } from '../../engines/native-engines.js';
import { waitUntil } from '../../../tools/stack/wait-until.js';
import { residentMbOf } from '../process-use.js';
import { countThenBlock, paid } from '../provider-entries.js';
import { publish, type Report } from '../report.js';
import { JSON_HEADERS, MESSAGE_BODY } from '../sides/side.js';
import { type Server, Site } from '../site.js';
import { slopeOf, spreadOf } from '../statistics.js';

const STARTS = 5;
/** V8 gives back what a start took when nothing has happened for some 20 s. */
const IDLE_MS = 30_000;
const CONNECTIONS = 64;
const CAPACITY_MS = 20_000;
/** Of what it can take. */
const LOAD = 0.8;
const SAMPLE_MS = 5_000;
/** Of the samples, the first: heaps grow to their size. */
const WARM_UP = 0.25;

interface Sample {
  atMin: number;
  residentMb: number;
  heapMb: number;
  lagMs: number;
  handles: number;
}

interface Observed {
  readyMs: number[];
  idleMb: number[];
  samples: Sample[];
  failed: number;
  perSecond: number;
}

/** @returns the exit code */
export async function benchSoak(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: { minutes: { type: 'string', default: '10' }, json: { type: 'string' }, markdown: { type: 'string' } },
  });
  const minutes = Number(values.minutes);
  const site = await Site.start();
  try {
    publish(reportOf(await observe(site, minutes), minutes), values);
    return 0;
  } finally {
    await site.stop();
  }
}

async function observe(site: Site, minutes: number): Promise<Observed> {
  const provider = await site.startProvider();
  const DATABASE_URL = await createDatabase(site.postgres.url);
  const first = await start(site, provider, DATABASE_URL);
  const starts = [first];
  while (starts.length < STARTS) starts.push(await start(site, provider, DATABASE_URL));
  await delay(IDLE_MS);
  return {
    readyMs: starts.map(({ readyMs }) => readyMs),
    idleMb: starts.map(({ gateway }) => residentMbOf([gateway.pid])),
    ...(await soak(site, first.gateway, minutes * 60_000)),
  };
}

function reportOf({ readyMs, idleMb, samples, failed, perSecond }: Observed, minutes: number): Report {
  const steady = samples.slice(Math.floor(samples.length * WARM_UP));
  const row = (name: string, values: number[]): Report['rows'][number] => ({ name, figures: [spreadOf(values)] });
  const seen = (name: string, of: (sample: Sample) => number): Report['rows'][number] => row(name, steady.map(of));
  const slope = slopeOf(steady.map(({ atMin, residentMb }) => [atMin, residentMb]));
  const keptSlope = slopeOf(leastHeaps(steady));
  return {
    title: `${minutes} minutes at ${perSecond.toFixed(0)} messages/s, ${LOAD * 100} % of what it can take`,
    columns: ['seen'],
    digits: [1],
    rows: [
      row('ready after its start, ms', readyMs),
      row('memory when idle, MB', idleMb),
      seen('memory under load, MB', ({ residentMb }) => residentMb),
      seen('heap in use, MB', ({ heapMb }) => heapMb),
      seen('event loop delay p99, ms', ({ lagMs }) => lagMs),
      seen('open handles', ({ handles }) => handles),
    ],
    ratios: [
      { name: 'memory, MB a minute after warm-up', value: slope, atMost: 1 },
      { name: 'heap after collection, MB a minute after warm-up', value: keptSlope, atMost: 1 },
      { name: 'messages that were not answered as they should', value: failed, atMost: 0 },
      { name: 'ready, s', value: spreadOf(readyMs).median / 1_000, atMost: 1.5 },
      { name: 'memory when idle, MB', value: spreadOf(idleMb).max, atMost: 150 },
    ],
  };
}

/** Of each minute: what is left when garbage has just been collected, whenever that was. */
function leastHeaps(samples: readonly Sample[]): [atMin: number, heapMb: number][] {
  const least = new Map<number, number>();
  for (const { atMin, heapMb } of samples) {
    const minute = Math.floor(atMin);
    least.set(minute, Math.min(heapMb, least.get(minute) ?? Infinity));
  }
  return [...least];
}

async function start(
  site: Site,
  { origin }: Server,
  DATABASE_URL: string,
): Promise<{ gateway: Server; readyMs: number }> {
  const free = { ...paid(origin), name: 'free', priceMicros: 0, quota: countThenBlock(1_000, 1_000) };
  const startedMs = performance.now();
  const gateway = await site.startGateway([free, paid(origin)], { DATABASE_URL });
  const isReady = async (): Promise<boolean> => (await fetch(`${gateway.origin}/health/ready`)).ok;
  await waitUntil(isReady, { what: 'a gateway is ready' });
  return { gateway, readyMs: performance.now() - startedMs };
}

async function soak(
  site: Site,
  gateway: Server,
  durationMs: number,
): Promise<Pick<Observed, 'samples' | 'failed' | 'perSecond'>> {
  const headers = { ...JSON_HEADERS, cookie: await site.tokens.cookie() };
  const target = { origins: [gateway.origin], path: '/messages', headers, body: MESSAGE_BODY, status: 200 };
  const most = await site.load.run(target, { connections: CONNECTIONS, durationMs: CAPACITY_MS });
  const perSecond = (most.answered / most.tookMs) * 1_000 * LOAD;
  const samples: Sample[] = [];
  const startedMs = performance.now();
  const load = site.load.run(target, { connections: CONNECTIONS, durationMs, perSecond });
  while (performance.now() < startedMs + durationMs - SAMPLE_MS) {
    await delay(SAMPLE_MS);
    samples.push(await sampleOf(gateway, startedMs));
  }
  return { samples, failed: (await load).failed + most.failed, perSecond };
}

async function sampleOf({ origin, pid }: Server, startedMs: number): Promise<Sample> {
  const text = await (await fetch(`${origin}/metrics`)).text();
  const metric = (name: string): number => Number(new RegExp(String.raw`^${name} (.*)$`, 'm').exec(text)?.[1]);
  return {
    atMin: (performance.now() - startedMs) / 60_000,
    residentMb: residentMbOf([pid]),
    heapMb: metric('nodejs_heap_size_used_bytes') / 1_048_576,
    lagMs: metric('nodejs_eventloop_lag_p99_seconds') * 1_000,
    handles: metric('nodejs_active_handles_total'),
  };
}
