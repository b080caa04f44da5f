// Ways to ask whether one more request may be sent, of limiters that nobody needs who runs Octo. Each function opens one;
// what it gives back resolves when the request may be sent.
import { ThrottlerStorageRedisService } from '@nest-lab/throttler-storage-redis';
import { Queue, Worker } from 'bullmq';
import { Redis } from 'ioredis';

/** So many that nothing is ever refused. */
const LIMIT = 1_000_000_000;
const WINDOW_MS = 3_600_000;

/** @nestjs/throttler on Redis: what its guard asks for every request. */
export async function throttler(redisUrl: string): Promise<() => Promise<void>> {
  const redis = new Redis(redisUrl);
  await redis.ping();
  const storage = new ThrottlerStorageRedisService(redis);
  return async () => {
    const { isBlocked } = await storage.increment('bench', WINDOW_MS, LIMIT, WINDOW_MS, 'default');
    if (isBlocked) throw new Error('refused');
  };
}

/** BullMQ limits the workers of a queue: what is asked is a job, granted when a worker has begun it. */
export async function bullmq(redisUrl: string): Promise<() => Promise<void>> {
  const { hostname: host, port } = new URL(redisUrl);
  const connection = { host, port: Number(port), maxRetriesPerRequest: null };
  const name = `bench-${process.pid}`;
  const queue = new Queue<unknown, void, string>(name, { connection });
  const waiting = new Map<string, () => void>();
  const begin = (id: string): Promise<void> => {
    waiting.get(id)?.();
    waiting.delete(id);
    return Promise.resolve();
  };
  const limiter = { max: LIMIT, duration: WINDOW_MS };
  const worker = new Worker<unknown, void>(name, (job) => begin(job.name), { connection, concurrency: 256, limiter });
  await worker.waitUntilReady();
  let count = 0;
  return async () => {
    count += 1;
    const id = String(count);
    const begun = new Promise<void>((resolve) => waiting.set(id, resolve));
    await queue.add(id, {}, { removeOnComplete: true });
    await begun;
  };
}
