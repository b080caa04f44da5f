// Asks for permits as fast as it can: `KIND=… REDIS_URL=… PEERS=… node decider-process.js`, then `{concurrency, durationMs}`.
import { join } from 'node:path';
import Bottleneck from 'bottleneck';
import { Redis } from 'ioredis';
import type { LimitedPolicy } from '#quota';
import { STRATEGIES, type StrategyName } from '../../testbed/strategies.js';

export interface DeciderOrder {
  concurrency: number;
  durationMs: number;
}

export interface Decided {
  decisions: number;
  tookMs: number;
}

/** Resolves when one more request may be sent. */
type Decide = () => Promise<void>;

/** So many that nothing is ever refused: what is measured is the asking. */
const POLICY = {
  policy: 'count-then-block',
  limit: 1_000_000_000,
  blockMs: 3_600_000,
  startsAt: 'last-accept',
} satisfies LimitedPolicy;

const { KIND = '', REDIS_URL = '', PEERS = '' } = process.env;
const decide = await open(KIND);
process.on('message', (order: DeciderOrder) => void run(order).then((decided) => process.send?.(decided)));
process.once('disconnect', () => process.exit(0));
process.send?.('ready');

function open(kind: string): Promise<Decide> {
  if (kind === 'Bottleneck') return bottleneck();
  return kind in STRATEGIES ? own(kind as StrategyName) : peer(kind);
}

/** With a queue: without one, as the proof has it, it drops what comes while it asks Redis. */
async function bottleneck(): Promise<Decide> {
  const connection = new Bottleneck.IORedisConnection({ client: new Redis(REDIS_URL) });
  const limiter = new Bottleneck({ id: 'bench', connection, reservoir: POLICY.limit });
  await limiter.ready();
  return () => limiter.schedule(() => Promise.resolve());
}

/** Each permit of ours is settled as well: the others only count. */
async function own(name: StrategyName): Promise<Decide> {
  const setup = { redisUrl: REDIS_URL, provider: 'bench', policy: POLICY, timeoutMs: 5_000, budgetMs: 5_000, pods: 1 };
  const strategy = STRATEGIES[name](setup);
  await strategy.ready();
  return async () => {
    const settle = await strategy.ask();
    if (settle === undefined) throw new Error('refused');
    settle({ outcome: 'accepted' });
  };
}

async function peer(name: string): Promise<Decide> {
  const peers = (await import(join(PEERS, 'deciders.js'))) as Record<string, (redisUrl: string) => Promise<Decide>>;
  const made = peers[name];
  if (made === undefined) throw new Error(`nothing is called ${name}`);
  return made(REDIS_URL);
}

async function run({ concurrency, durationMs }: DeciderOrder): Promise<Decided> {
  const startedMs = performance.now();
  let decisions = 0;
  const caller = async (): Promise<void> => {
    while (performance.now() < startedMs + durationMs) {
      await decide();
      decisions += 1;
    }
  };
  await Promise.all(Array.from({ length: concurrency }, caller));
  return { decisions, tookMs: performance.now() - startedMs };
}
