// `npm run bench -- decisions [--markdown FILE]`: what one decision costs with Octo's quota engine and with other
// limiters, in one run on one Redis.
import { type ChildProcess, fork } from 'node:child_process';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { RedisServer } from '../../engines/redis-server.js';
import { stopProcess } from '../../engines/spawn-server.js';
import { type LimiterName, provision } from '../../testbed/limiters.js';
import { commandOf, publish } from '../../testbed/results.js';
import { nextMessage } from '../next-message.js';
import { cpuMsOf } from '../process-use.js';
import { medianOf } from '../../testbed/median.js';
import { type Column, type Goal, ratiosOf, tableOf } from '../report.js';
import { type AccountName, ACCOUNTS } from './accounts.js';
import type { Decided, DeciderOrder } from './decider-process.js';

const OCTO = 'octo';
const THREE_LIMITS = 'octo, three limits';
const COMPARED: Compared[] = [
  { name: OCTO, limiter: 'octo', account: 'one' },
  { name: THREE_LIMITS, limiter: 'octo', account: 'three' },
  { name: 'rate-limiter-flexible', limiter: 'rate-limiter-flexible', account: 'one' },
  { name: 'Bottleneck', limiter: 'Bottleneck', account: 'one' },
];
const ROUNDS = 5;
const ROUND_MS = 1_500;

/** Callers at the same time. */
const CALLERS = [1, 16, 64, 256];

interface Sample {
  perSecond: number;
  clientUs: number;
  redisUs: number;
}

const COLUMNS: Column<Sample>[] = [
  { title: 'decisions/s', digits: 0, of: ({ perSecond }) => perSecond },
  { title: 'client CPU µs', digits: 1, of: ({ clientUs }) => clientUs },
  { title: 'Redis CPU µs', digits: 2, of: ({ redisUs }) => redisUs },
];

/** @returns the exit code */
export async function benchDecisions(args: string[]): Promise<number> {
  const { values } = parseArgs({ args, options: { markdown: { type: 'string' } } });
  const redis = await RedisServer.start();
  const samples = new Map<string, Sample[]>();
  try {
    for (const account of Object.values(ACCOUNTS)) await provision(redis.url, account);
    const deciders = await Promise.all(COMPARED.map((limiter) => startDecider(limiter, redis)));
    for (const callers of CALLERS) await measureCallers(redis, { callers, deciders, samples });
    await Promise.all(deciders.map(({ child }) => stopProcess(child, 'SIGKILL')));
  } finally {
    await redis.remove();
  }
  const table = tableOf('One decision', COLUMNS, samples, goalsOf(samples));
  publish(
    { title: 'What a decision costs', command: commandOf('bench', ['decisions', ...args]), tables: [table] },
    values,
  );
  return 0;
}

interface Compared {
  name: string;
  limiter: LimiterName;
  account: AccountName;
}

interface Decider {
  name: string;
  child: ChildProcess;
}

async function startDecider({ name, limiter, account }: Compared, { url }: RedisServer): Promise<Decider> {
  const env = { LIMITER: limiter, ACCOUNT: account, REDIS_URL: url };
  const child = fork(join(import.meta.dirname, 'decider-process.js'), { env });
  await nextMessage(child);
  return { name, child };
}

/** In each round all limiters run in turn. The first round warms up. */
async function measureCallers(
  redis: RedisServer,
  { callers, deciders, samples }: { callers: number; deciders: Decider[]; samples: Map<string, Sample[]> },
): Promise<void> {
  for (let round = 0; round <= ROUNDS; round += 1) {
    for (const { name: compared, child } of deciders) {
      const sample = await measure(redis, child, callers);
      const name = nameOf(compared, callers);
      if (round > 0) samples.set(name, [...(samples.get(name) ?? []), sample]);
    }
  }
}

async function measure(redis: RedisServer, child: ChildProcess, callers: number): Promise<Sample> {
  const use = () => ({ client: cpuMsOf([child.pid ?? 0]), redis: cpuMsOf([redis.pid]) });
  const before = use();
  child.send({ callers, durationMs: ROUND_MS } satisfies DeciderOrder);
  const { decisions, tookMs } = (await nextMessage(child)) as Decided;
  const after = use();
  return {
    perSecond: (decisions / tookMs) * 1_000,
    clientUs: ((after.client - before.client) / decisions) * 1_000,
    redisUs: ((after.redis - before.redis) / decisions) * 1_000,
  };
}

function nameOf(compared: string, callers: number): string {
  return `${compared}, ${callers} ${callers === 1 ? 'caller' : 'callers'}`;
}

function goalsOf(samples: Map<string, Sample[]>): Goal[] {
  const goal = (
    what: string,
    callers: number,
    of: (sample: Sample) => number,
    [one, other]: readonly [string, string] = [OCTO, 'rate-limiter-flexible'],
  ): { name: string; value: number } => {
    const names = [nameOf(one, callers), nameOf(other, callers)] as const;
    return { name: `${what}, ${names.join(' : ')}`, value: medianOf(ratiosOf(samples, names, of)) };
  };
  const perSecond = (sample: Sample): number => sample.perSecond;
  return [
    { ...goal('decisions/s', 64, perSecond), atLeast: 3 },
    { ...goal('Redis CPU', 64, ({ redisUs }) => redisUs), atMost: 0.25 },
    { ...goal('decisions/s', 1, perSecond), atLeast: 1 },
    { ...goal('Redis CPU', 64, ({ redisUs }) => redisUs, [THREE_LIMITS, OCTO]), atMost: 2.2 },
    { ...goal('client CPU', 64, ({ clientUs }) => clientUs, [THREE_LIMITS, OCTO]), atMost: 2.2 },
  ];
}
