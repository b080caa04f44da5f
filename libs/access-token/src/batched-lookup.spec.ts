import { describe, expect, it } from '@jest/globals';
import { BatchedLookup, LookupFailed } from './batched-lookup.js';

/** A lookup whose queries are recorded and answered by the test. */
function newLookup() {
  const queries: { ids: string[]; answer: (found: Map<string, string>) => void; fail: () => void }[] = [];
  const lookup = new BatchedLookup<string>(
    (ids) =>
      new Promise((answer, reject) => {
        queries.push({ ids, answer, fail: () => reject(new Error('down')) });
      }),
  );
  const answerNext = async (): Promise<string[]> => {
    const query = queries.shift();
    query?.answer(new Map(query.ids.filter((id) => id !== 'missing').map((id) => [id, `found ${id}`])));
    await new Promise(setImmediate);
    return query?.ids ?? [];
  };
  return { lookup, queries, answerNext };
}

describe('BatchedLookup', () => {
  it('groups the lookups that arrive during a query into the next one, each id once', async () => {
    const { lookup, answerNext } = newLookup();
    const found = Promise.all(['a', 'b', 'c', 'b', 'missing'].map((id) => lookup.find(id)));
    expect(await answerNext()).toEqual(['a']);
    expect(await answerNext()).toEqual(['b', 'c', 'missing']);
    expect(await found).toEqual(['found a', 'found b', 'found c', 'found b', undefined]);
  });

  it('starts a new query for an id whose query is in flight', async () => {
    const { lookup, answerNext } = newLookup();
    const found = Promise.all([lookup.find('a'), lookup.find('a')]);
    expect(await answerNext()).toEqual(['a']);
    expect(await answerNext()).toEqual(['a']);
    expect(await found).toEqual(['found a', 'found a']);
  });

  it('asks for at most 1,000 ids in a query', async () => {
    const { lookup, answerNext } = newLookup();
    const found = Promise.all(Array.from({ length: 1_500 }, (_, i) => lookup.find(String(i))));
    const sizes = [await answerNext(), await answerNext(), await answerNext()].map((ids) => ids.length);
    expect(sizes).toEqual([1, 1_000, 499]);
    expect(await found).toHaveLength(1_500);
  });

  it('refuses a lookup while 5,000 ids wait', async () => {
    const { lookup, answerNext } = newLookup();
    const found = Promise.allSettled(Array.from({ length: 5_002 }, (_, i) => lookup.find(String(i))));
    while ((await answerNext()).length > 0);
    const refused = (await found).filter(({ status }) => status === 'rejected');
    expect(refused).toHaveLength(1);
  });

  it('fails all lookups that wait when a query fails, and the following ones at once', async () => {
    const { lookup, queries } = newLookup();
    const lookups = ['a', 'b'].map((id) => lookup.find(id));
    queries.shift()?.fail();
    const results = await Promise.allSettled(lookups);
    expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    await expect(lookup.find('c')).rejects.toThrow(LookupFailed);
    expect(queries).toHaveLength(0);
  });
});
