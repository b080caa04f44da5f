import { describe, expect, it } from '@jest/globals';
import { keptFor } from './kept-for.js';

const HOUR_MS = 3_600_000;

describe('keptFor', () => {
  it('reads once for all who ask within the time to live', async () => {
    let reads = 0;
    const value = keptFor(HOUR_MS, () => Promise.resolve((reads += 1)));
    expect(await Promise.all([value(), value()])).toEqual([1, 1]);
    expect(await value()).toBe(1);
  });

  it('reads again when the time to live is over', async () => {
    let reads = 0;
    const value = keptFor(0, () => Promise.resolve((reads += 1)));
    expect([await value(), await value()]).toEqual([1, 2]);
  });

  it('is undefined when the store fails', async () => {
    const value = keptFor(HOUR_MS, () => Promise.reject(new Error('down')));
    expect(await value()).toBeUndefined();
  });

  it('is undefined, and asks only once, while the store does not answer', async () => {
    let reads = 0;
    const value = keptFor(0, () => {
      reads += 1;
      return new Promise<never>(() => {});
    });
    expect([await value(), await value()]).toEqual([undefined, undefined]);
    expect(reads).toBe(1);
  });
});
