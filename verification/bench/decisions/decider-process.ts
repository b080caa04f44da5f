// Asks one limiter for permits as fast as it can: `LIMITER=… ACCOUNT=… REDIS_URL=… node decider-process.js`, then a `DeciderOrder`.
import Bottleneck from 'bottleneck';
import { Redis } from 'ioredis';
import { type LimiterName, LIMITERS } from '../../testbed/limiters.js';
import { LIMIT_MAX } from '../provider-entries.js';
import { type AccountName, ACCOUNTS } from './accounts.js';

export interface DeciderOrder {
  callers: number;
  durationMs: number;
}

export interface Decided {
  decisions: number;
  tookMs: number;
}

const { LIMITER = '', ACCOUNT = 'one', REDIS_URL = '' } = process.env;
const decide = await (LIMITER === 'Bottleneck' ? queueing() : settling(LIMITER as LimiterName));
process.on('message', (order: DeciderOrder) => void run(order).then((decided) => process.send?.(decided)));
process.once('disconnect', () => process.exit(0));
process.send?.('ready');

/** Bottleneck with a queue: without one, as in the proof, it drops what arrives while it asks Redis. */
async function queueing(): Promise<() => Promise<void>> {
  const connection = new Bottleneck.IORedisConnection({ client: new Redis(REDIS_URL) });
  const limiter = new Bottleneck({ id: 'bench', connection, reservoir: LIMIT_MAX });
  await limiter.ready();
  return () => limiter.schedule(() => Promise.resolve());
}

/** Octo's permits are settled as well; the others only count. */
async function settling(name: LimiterName): Promise<() => Promise<void>> {
  const account = ACCOUNTS[ACCOUNT as AccountName];
  const setup = { ...account, redisUrl: REDIS_URL, budgetMs: 5_000, pods: 1 };
  const limiter = LIMITERS[name](setup);
  await limiter.ready();
  return async () => {
    const settle = await limiter.ask();
    if (settle === undefined) throw new Error('the limiter denied a permit');
    settle({ outcome: 'accepted' });
  };
}

async function run({ callers, durationMs }: DeciderOrder): Promise<Decided> {
  const startedMs = performance.now();
  let decisions = 0;
  const caller = async (): Promise<void> => {
    while (performance.now() < startedMs + durationMs) {
      await decide();
      decisions += 1;
    }
  };
  await Promise.all(Array.from({ length: callers }, caller));
  return { decisions, tookMs: performance.now() - startedMs };
}
