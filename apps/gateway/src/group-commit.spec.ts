import { describe, expect, it } from '@jest/globals';
import { GroupCommit } from './group-commit.js';

/** A store whose statements end when the test calls `end`. */
function heldStore() {
  const batches: { items: number[]; end: (error?: Error) => void }[] = [];
  const commit = (items: number[]): Promise<number[]> =>
    new Promise((resolve, reject) => {
      const end = (error?: Error): void =>
        error === undefined ? resolve(items.map((item) => item * 10)) : reject(error);
      batches.push({ items, end });
    });
  return { batches, commit };
}

describe('GroupCommit', () => {
  it('commits one item at once, and all items that arrive meanwhile as one batch', async () => {
    const { batches, commit } = heldStore();
    const group = new GroupCommit(commit, 10);
    const results = [1, 2, 3].map((item) => group.add(item));
    expect(batches.map(({ items }) => items)).toEqual([[1]]);
    batches[0]?.end();
    expect(await results[0]).toBe(10);
    expect(batches.map(({ items }) => items)).toEqual([[1], [2, 3]]);
    batches[1]?.end();
    expect(await Promise.all(results)).toEqual([10, 20, 30]);
  });

  it('puts at most maxItems items into a batch', async () => {
    const { batches, commit } = heldStore();
    const group = new GroupCommit(commit, 2);
    const results = [1, 2, 3, 4].map((item) => group.add(item));
    for (let batch = 0; batch < 3; batch += 1) {
      batches[batch]?.end();
      await results[batch];
    }
    expect(await Promise.all(results)).toEqual([10, 20, 30, 40]);
    expect(batches.map(({ items }) => items)).toEqual([[1], [2, 3], [4]]);
  });

  it('rejects the items of a failed batch and commits the next batch', async () => {
    const { batches, commit } = heldStore();
    const group = new GroupCommit(commit, 10);
    const first = group.add(1);
    const second = group.add(2);
    batches[0]?.end(new Error('down'));
    await expect(first).rejects.toThrow('down');
    batches[1]?.end();
    expect(await second).toBe(20);
  });

  it('commits the items of a batch one by one when the error may be that of one item', async () => {
    const commit = (items: number[]): Promise<number[]> =>
      items.includes(3) ? Promise.reject(new Error('refused')) : Promise.resolve(items);
    const group = new GroupCommit(commit, 10, () => true);
    const results = await Promise.allSettled([1, 2, 3, 4].map((item) => group.add(item)));
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected', 'fulfilled']);
  });

  it('expects items to wait as long as the batches before them take, and forgets a slow batch', async () => {
    const { batches, commit } = heldStore();
    const group = new GroupCommit(commit, 10);
    const startedMs = performance.now();
    const result = group.add(1);
    expect(group.expectedWaitMs(25, startedMs + 400)).toBeGreaterThan(3 * 399);
    expect(group.expectedWaitMs(0, startedMs + 400)).toBe(0);
    batches[0]?.end();
    await result;
    const nowMs = performance.now();
    expect(group.expectedWaitMs(10, nowMs + 60_000)).toBeLessThan(0.001);
  });
});
