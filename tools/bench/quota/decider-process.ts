// Asks for permits as fast as it can: `KIND=… REDIS_URL=… PEERS=… node decider-process.js`, then `{concurrency, durationMs}`.
import { join } from 'node:path';
import type { LimitedPolicy } from '#quota';
import { STRATEGIES, type StrategyName } from '../../prove/strategies.js';

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
const POLICY: LimitedPolicy = {
  policy: 'count-then-block',
  limit: 1_000_000_000,
  blockMs: 3_600_000,
  startsAt: 'last-accept',
};

const { KIND = '', REDIS_URL = '', PEERS = '' } = process.env;
const decide = KIND in STRATEGIES ? await own(KIND as StrategyName) : await peer(KIND);
process.on('message', (order: DeciderOrder) => void run(order).then((decided) => process.send?.(decided)));
process.once('disconnect', () => process.exit(0));
process.send?.('ready');

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
  const open = peers[name];
  if (open === undefined) throw new Error(`nothing is called ${name}`);
  return open(REDIS_URL);
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
