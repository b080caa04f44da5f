import { setImmediate as tick } from 'node:timers/promises';
import { describe, expect, it } from '@jest/globals';
import { HashQueue } from './hash-queue.js';

/** Computations that end when the test says so. */
function controlled(queue: HashQueue) {
  const ends: (() => void)[] = [];
  const compute = () => new Promise<string>((resolve) => ends.push(() => resolve('hash')));
  return {
    add: (gone?: AbortSignal) => queue.admit((place) => place.run(compute), gone),
    endOldest: async (count = 1): Promise<void> => {
      for (let index = 0; index < count; index += 1) {
        ends.shift()?.();
        await tick();
      }
    },
    running: () => ends.length,
  };
}
const codeOf = (error: unknown): unknown => (error instanceof Error && 'code' in error ? error.code : error);

describe('HashQueue', () => {
  it('runs no more computations at once than its concurrency', async () => {
    const { add, endOldest, running } = controlled(new HashQueue({ concurrency: 2, expectedMs: 10 }));
    const results = Promise.all(Array.from({ length: 4 }, () => add()));
    await tick();
    expect(running()).toBe(2);
    await endOldest();
    expect(running()).toBe(2);
    await endOldest(3);
    expect(await results).toEqual(['hash', 'hash', 'hash', 'hash']);
  });

  it('refuses a caller with 503 and Retry-After when more than 2 s of work are admitted', async () => {
    const { add, endOldest } = controlled(new HashQueue({ concurrency: 1, expectedMs: 500 }));
    const admitted = Array.from({ length: 5 }, () => add());
    await expect(add()).rejects.toMatchObject({ code: 'unavailable', extra: { retryAfterMs: 2_500 } });
    await endOldest(5);
    await Promise.all(admitted);
    const next = add();
    await endOldest();
    expect(await next).toBe('hash');
  });

  it('counts callers that have not reached their computation yet', async () => {
    const queue = new HashQueue({ concurrency: 1, expectedMs: 1_500 });
    let end = (): void => {};
    const slow = new Promise<void>((resolve) => (end = resolve));
    const admitted = [queue.admit(() => slow), queue.admit(() => slow)];
    await expect(queue.admit(async () => undefined)).rejects.toMatchObject({ code: 'unavailable' });
    end();
    await Promise.all(admitted);
  });

  it('admits fewer callers when computations take longer than expected', async () => {
    const queue = new HashQueue({ concurrency: 1, expectedMs: 1 });
    await queue.admit((place) => place.run(() => new Promise((resolve) => setTimeout(resolve, 200))));
    const { add } = controlled(queue);
    const outcomes = Array.from({ length: 200 }, () => add().catch(codeOf));
    expect(await outcomes.at(-1)).toBe('unavailable');
  });

  it('drops a waiting computation whose client disconnects, and never starts it', async () => {
    const queue = new HashQueue({ concurrency: 1, expectedMs: 10 });
    const { add, endOldest, running } = controlled(queue);
    const first = add();
    const client = new AbortController();
    let hasRun = false;
    const compute = async () => {
      hasRun = true;
    };
    const dropped = queue.admit((place) => place.run(compute), client.signal);
    client.abort();
    await expect(dropped).rejects.toMatchObject({ code: 'unavailable' });
    const last = add();
    await endOldest();
    expect(running()).toBe(1);
    await endOldest();
    expect([await first, await last, hasRun]).toEqual(['hash', 'hash', false]);
  });

  it('starts nothing for a client that has already disconnected', async () => {
    const { add, running } = controlled(new HashQueue({ concurrency: 1, expectedMs: 10 }));
    await expect(add(AbortSignal.abort())).rejects.toMatchObject({ code: 'unavailable' });
    expect(running()).toBe(0);
  });
});
