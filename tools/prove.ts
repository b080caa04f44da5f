// `npm run prove [-- --quick] [--seed N] [--json FILE]`: pods as processes of their own against the real free provider
// over HTTP; what each strategy makes of the same arrivals, judged by the provider's own log. Exit code 1 when Octo
// misses a goal.
import { type ChildProcess, fork } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { ProviderStats } from '#contracts';
import { arrivalsOf, type Load } from './prove/arrivals.js';
import { clairvoyantAccepts } from './prove/clairvoyant.js';
import type { PodOrder, PodReport } from './prove/pod.js';
import { STRATEGIES, type StrategyName } from './prove/strategies.js';
import { freePort } from './stack/free-port.js';
import { ManagedProcess } from './stack/managed-process.js';

interface Scenario {
  pods: number;
  load: Load;
  fault: 'none' | 'a pod killed' | 'a pod paused 2 s' | 'Redis emptied';
}

interface Row extends Scenario {
  strategy: StrategyName;
  messages: number;
  free: number;
  clairvoyant: number;
  refused: number;
  unknown: number;
  windowsUsed: string;
  tripsPerMessage: number;
  missed: string[];
}

const LIMIT = 20;
const BLOCK_MS = 2_000;
const TIMEOUT_MS = 1_000;
const PER_SECOND = 60;
/** What guard and answer time may cost: of the clairvoyant's sends, without faults. */
const LEAST_SHARE = 0.98;

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    seed: { type: 'string', default: '1' },
    json: { type: 'string' },
  },
});
const seed = Number(values.seed);
const durationMs = values.quick ? 7_000 : 20_000;
const rows: Row[] = [];
for (const scenario of scenarios(values.quick)) {
  for (const strategy of strategiesFor(scenario)) {
    const row = await run(scenario, strategy);
    if (rows.length === 0) console.log(header());
    console.log(line(row));
    rows.push(row);
  }
}
if (values.json !== undefined) writeFileSync(values.json, JSON.stringify({ seed, durationMs, rows }, null, 2));
const missed = rows.flatMap((row) => row.missed.map((goal) => `${line(row).trim()}: ${goal}`));
console.log(missed.length === 0 ? '\nevery goal met' : `\ngoals missed:\n${missed.join('\n')}`);
process.exit(missed.length === 0 ? 0 : 1);

function scenarios(quick: boolean): Scenario[] {
  const calm: Scenario[] = (quick ? [1, 4] : [1, 2, 4, 8]).flatMap((pods) =>
    (quick ? (['steady'] as const) : (['steady', 'bursty', 'idle, then burst'] as const)).map((load): Scenario => ({
      pods,
      load,
      fault: 'none',
    })),
  );
  const faults = quick ? (['a pod killed'] as const) : (['a pod killed', 'a pod paused 2 s', 'Redis emptied'] as const);
  return [...calm, ...faults.map((fault): Scenario => ({ pods: 4, load: 'steady', fault }))];
}

/** The others are shown where nothing goes wrong: it does not get better with faults. */
function strategiesFor({ fault }: Scenario): StrategyName[] {
  const names = Object.keys(STRATEGIES) as StrategyName[];
  return fault === 'none' ? names : ['octo'];
}

async function run(scenario: Scenario, strategy: StrategyName): Promise<Row> {
  const redisPort = await freePort();
  const redis = managed('redis', 'tools/stack/embedded-redis.js', { PORT: String(redisPort) });
  const provider = managed('free-provider', 'apps/free-provider/src/main.js', {
    PORT: '0',
    FREE_LIMIT: String(LIMIT),
    FREE_BLOCK_MS: String(BLOCK_MS),
  });
  await Promise.all([redis.start(), provider.start()]);
  try {
    const origin = (provider.readyMessage as { url: string }).url;
    const redisUrl = `redis://127.0.0.1:${redisPort}`;
    await provision(redisUrl);
    const arrivals = arrivalsOf(scenario.load, { durationMs, perSecond: PER_SECOND, seed });
    const { reports, trips } = await runPods(scenario, strategy, { origin, redisUrl, arrivals });
    const stats = (await (await fetch(`${origin}/stats`)).json()) as ProviderStats;
    return judge({ scenario, strategy, arrivals, reports, trips, stats });
  } finally {
    await Promise.all([redis.stop(), provider.stop()]);
  }
}

function managed(name: string, entry: string, env: NodeJS.ProcessEnv): ManagedProcess {
  return new ManagedProcess({ name, entry: join(import.meta.dirname, '..', entry), env, onLine: () => {} });
}

/** The provider is known before the first message: a count that is missing later was lost. */
async function provision(redisUrl: string): Promise<void> {
  const { Redis } = await import('ioredis');
  const { Quota } = await import('#quota');
  const redis = new Redis(redisUrl);
  await new Quota({ redis, providers: [] }).provision('free');
  await redis.quit();
}

async function runPods(
  { pods, fault }: Scenario,
  strategy: StrategyName,
  { origin, redisUrl, arrivals }: { origin: string; redisUrl: string; arrivals: number[] },
): Promise<{ reports: PodReport['outcomes']; trips: number }> {
  const children = Array.from({ length: pods }, () => fork(join(import.meta.dirname, 'prove/pod.js')));
  await Promise.all(children.map((child) => once(child, 'message')));
  const startAtMs = Date.now() + 500;
  const setup = { redisUrl, provider: 'free', limit: LIMIT, blockMs: BLOCK_MS, timeoutMs: TIMEOUT_MS, pods };
  const done = children.map((child, index) => {
    const own = arrivals.filter((_, position) => position % pods === index);
    const order: PodOrder = {
      strategy,
      setup,
      providerUrl: `${origin}/messages`,
      arrivals: own.map((atMs) => ({ id: randomBytes(8).toString('hex'), atMs })),
      startAtMs,
    };
    child.send(order);
    return reportOf(child);
  });
  setTimeout(() => void cause(fault, children, redisUrl), 500 + durationMs * 0.4);
  const reports = await Promise.all(done);
  return {
    reports: reports.flatMap((report) => report?.outcomes ?? []),
    trips: reports.reduce((sum, report) => sum + (report?.trips ?? 0), 0),
  };
}

/** Undefined for a pod that was killed. */
async function reportOf(child: ChildProcess): Promise<PodReport | undefined> {
  const [first] = (await Promise.race([once(child, 'message'), once(child, 'exit')])) as [unknown];
  return typeof first === 'object' && first !== null ? (first as PodReport) : undefined;
}

async function cause(fault: Scenario['fault'], [victim]: ChildProcess[], redisUrl: string): Promise<void> {
  if (fault === 'a pod killed') victim?.kill('SIGKILL');
  if (fault === 'a pod paused 2 s') {
    victim?.kill('SIGSTOP');
    setTimeout(() => victim?.kill('SIGCONT'), 2_000);
  }
  if (fault === 'Redis emptied') {
    const { Redis } = await import('ioredis');
    const redis = new Redis(redisUrl);
    await redis.flushall();
    await redis.quit();
  }
}

function judge({
  scenario,
  strategy,
  arrivals,
  reports,
  trips,
  stats,
}: {
  scenario: Scenario;
  strategy: StrategyName;
  arrivals: number[];
  reports: PodReport['outcomes'];
  trips: number;
  stats: ProviderStats;
}): Row {
  const spent = stats.windows.filter(({ blockedAt }) => blockedAt !== null);
  const row: Row = {
    ...scenario,
    strategy,
    messages: arrivals.length,
    free: stats.accepted,
    clairvoyant: clairvoyantAccepts(arrivals, { limit: LIMIT, blockMs: BLOCK_MS }),
    refused: stats.refused,
    unknown: reports.filter(({ outcome }) => outcome === 'unknown').length,
    windowsUsed: `${spent.length}/${stats.windows.length}`,
    tripsPerMessage: trips / arrivals.length,
    missed: [],
  };
  return strategy === 'octo' ? { ...row, missed: goalsMissed(row) } : row;
}

function goalsMissed(row: Row): string[] {
  const isCalm = row.fault === 'none';
  // A pod that dies or stands still leaves at most what it had in hand unknown: here, one episode.
  const refusalsAllowed = isCalm ? 0 : 1;
  return [
    row.refused > refusalsAllowed ? `${row.refused} refusals, ${refusalsAllowed} allowed` : '',
    isCalm && row.free / row.clairvoyant < LEAST_SHARE ? `less than ${LEAST_SHARE * 100} % of the possible` : '',
    row.tripsPerMessage > 1 ? 'more than one trip per message' : '',
  ].filter((goal) => goal !== '');
}

function header(): string {
  return [
    `quota ${LIMIT}, then blocked ${BLOCK_MS} ms; ${PER_SECOND} messages/s for ${durationMs / 1_000} s; seed ${seed}\n`,
    `${'pods'.padEnd(5)}${'load'.padEnd(18)}${'fault'.padEnd(18)}${'strategy'.padEnd(23)}${'free'.padStart(6)}`,
    `${'possible'.padStart(10)}${'share'.padStart(8)}${'refused'.padStart(9)}${'unknown'.padStart(9)}${'trips/msg'.padStart(11)}`,
  ].join('');
}

function line(row: Row): string {
  const share = `${((row.free / row.clairvoyant) * 100).toFixed(1)} %`;
  return [
    `${String(row.pods).padEnd(5)}${row.load.padEnd(18)}${row.fault.padEnd(18)}${row.strategy.padEnd(23)}`,
    `${String(row.free).padStart(6)}${String(row.clairvoyant).padStart(10)}${share.padStart(8)}`,
    `${String(row.refused).padStart(9)}${String(row.unknown).padStart(9)}${row.tripsPerMessage.toFixed(2).padStart(11)}`,
  ].join('');
}
