// `npm run bench -- quota`: what a decision costs, here and with others, in one run on one Redis.
import { type ChildProcess, fork } from 'node:child_process';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Redis } from 'ioredis';
import { Quota } from '#quota';
import { type NativeEngine, startNativeRedis } from '../../engines/native-engines.js';
import { answerOf } from '../answer-of.js';
import { preparePeers } from '../peers.js';
import { cpuMsOf } from '../process-use.js';
import { publish, type Ratio, type Report } from '../report.js';
import { spreadOf } from '../statistics.js';
import { stopOnInterrupt } from '../stop-on-interrupt.js';
import type { Decided, DeciderOrder } from './decider-process.js';

const KINDS = ['octo', 'rate-limiter-flexible', 'Bottleneck', 'throttler', 'bullmq'];
const ROUNDS = 5;
const ROUND_MS = 1_500;

/** How many ask, and in how many processes. */
interface Crowd {
  concurrency: number;
  processes: number;
}

const CROWDS: Crowd[] = [
  ...[1, 16, 64, 256].map((concurrency) => ({ concurrency, processes: 1 })),
  ...[2, 4, 8].map((processes) => ({ concurrency: 64, processes })),
];

interface Sample {
  perSecond: number;
  clientUs: number;
  redisUs: number;
  /** What Redis read from its sockets: one for each round trip, or for several that came together. */
  trips: number;
}

type QuotaSamples = Map<string, Sample[]>;

/** @returns the exit code */
export async function benchQuota(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: { json: { type: 'string' }, markdown: { type: 'string' } },
  });
  publish(reportOf(await measureQuota()), values);
  return 0;
}

async function measureQuota(): Promise<QuotaSamples> {
  const peersDir = preparePeers();
  const engine = await startNativeRedis();
  stopOnInterrupt(() => engine.stop());
  const redis = new Redis(engine.url);
  await new Quota({ redis, providers: [] }).provision('bench');
  const samples: QuotaSamples = new Map();
  try {
    for (const crowd of CROWDS) {
      const groups = await Promise.all(
        KINDS.map(async (kind) => ({ kind, group: await startGroup(kind, crowd, engine, peersDir) })),
      );
      for (const { group } of groups) await ask(group, crowd);
      for (let round = 0; round < ROUNDS; round += 1) {
        for (const { kind, group } of groups) {
          const sample = await measure(group, crowd, { engine, redis });
          const key = keyOf(kind, crowd);
          samples.set(key, [...(samples.get(key) ?? []), sample]);
        }
      }
      for (const { group } of groups) for (const child of group) child.kill();
    }
    return samples;
  } finally {
    redis.disconnect();
    await engine.stop();
  }
}

async function startGroup(
  kind: string,
  { processes }: Crowd,
  { url }: NativeEngine,
  peersDir: string,
): Promise<ChildProcess[]> {
  const entry = join(import.meta.dirname, 'decider-process.js');
  const env = { KIND: kind, REDIS_URL: url, PEERS: peersDir };
  const group = Array.from({ length: processes }, () => fork(entry, { env }));
  await Promise.all(group.map(answerOf));
  return group;
}

async function ask(group: readonly ChildProcess[], { concurrency, processes }: Crowd): Promise<Decided[]> {
  const order: DeciderOrder = { concurrency: concurrency / processes, durationMs: ROUND_MS };
  return Promise.all(
    group.map((child) => {
      child.send(order);
      return answerOf(child) as Promise<Decided>;
    }),
  );
}

async function measure(
  group: readonly ChildProcess[],
  crowd: Crowd,
  { engine, redis }: { engine: NativeEngine; redis: Redis },
): Promise<Sample> {
  const pids = group.map(({ pid }) => pid ?? 0);
  const use = async () => ({ client: cpuMsOf(pids), redis: cpuMsOf([engine.pid]), reads: await readsOf(redis) });
  const before = await use();
  const decided = await ask(group, crowd);
  const after = await use();
  const decisions = decided.reduce((sum, { decisions: own }) => sum + own, 0);
  return {
    perSecond: decided.reduce((sum, { decisions: own, tookMs }) => sum + (own / tookMs) * 1_000, 0),
    clientUs: ((after.client - before.client) / decisions) * 1_000,
    redisUs: ((after.redis - before.redis) / decisions) * 1_000,
    trips: (after.reads - before.reads) / decisions,
  };
}

async function readsOf(redis: Redis): Promise<number> {
  return Number(/^total_reads_processed:(\d+)/m.exec(await redis.info('stats'))?.[1] ?? 0);
}

function keyOf(kind: string, { concurrency, processes }: Crowd): string {
  return `${kind}, ${concurrency} at once${processes === 1 ? '' : ` in ${processes} processes`}`;
}

function reportOf(samples: QuotaSamples): Report {
  const figure = (rounds: Sample[], of: (sample: Sample) => number): ReturnType<typeof spreadOf> =>
    spreadOf(rounds.map(of));
  return {
    title: 'Decisions',
    columns: ['decisions/s', 'client CPU µs', 'Redis CPU µs', 'trips'],
    digits: [0, 1, 2, 3],
    rows: [...samples].map(([name, rounds]) => ({
      name,
      figures: [
        figure(rounds, ({ perSecond }) => perSecond),
        figure(rounds, ({ clientUs }) => clientUs),
        figure(rounds, ({ redisUs }) => redisUs),
        figure(rounds, ({ trips }) => trips),
      ],
    })),
    ratios: ratiosOf(samples),
  };
}

/** Round by round, against rate-limiter-flexible. */
function ratiosOf(samples: QuotaSamples): Ratio[] {
  const ratio = (concurrency: number, of: (sample: Sample) => number): number => {
    const ours = samples.get(keyOf('octo', { concurrency, processes: 1 })) ?? [];
    const theirs = samples.get(keyOf('rate-limiter-flexible', { concurrency, processes: 1 })) ?? [];
    return spreadOf(ours.flatMap((sample, round) => of(sample) / of(theirs[round] ?? sample))).median;
  };
  return [
    {
      name: 'decisions/s at 64, octo : rate-limiter-flexible',
      value: ratio(64, ({ perSecond }) => perSecond),
      atLeast: 3,
    },
    { name: 'Redis CPU at 64, octo : rate-limiter-flexible', value: ratio(64, ({ redisUs }) => redisUs), atMost: 0.25 },
    {
      name: 'decisions/s at 1, octo : rate-limiter-flexible',
      value: ratio(1, ({ perSecond }) => perSecond),
      atLeast: 1,
    },
  ];
}
