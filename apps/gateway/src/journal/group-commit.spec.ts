import { describe, expect, it } from '@jest/globals';
import { GroupCommit } from './group-commit.js';

/** A store whose statements end when the test says so. */
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
  it('sends one item at once, and all that come meanwhile together', async () => {
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

  it('puts no more than so many into a batch', async () => {
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

  it('fails those of a batch that failed, and goes on', async () => {
    const { batches, commit } = heldStore();
    const group = new GroupCommit(commit, 10);
    const first = group.add(1);
    const second = group.add(2);
    batches[0]?.end(new Error('down'));
    await expect(first).rejects.toThrow('down');
    batches[1]?.end();
    expect(await second).toBe(20);
  });

  it('tries each alone when one of a batch may be at fault', async () => {
    const commit = (items: number[]): Promise<number[]> =>
      items.includes(3) ? Promise.reject(new Error('refused')) : Promise.resolve(items);
    const group = new GroupCommit(commit, 10, () => true);
    const results = await Promise.allSettled([1, 2, 3, 4].map((item) => group.add(item)));
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected', 'fulfilled']);
  });
});
