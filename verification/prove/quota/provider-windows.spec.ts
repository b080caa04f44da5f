import { describe, expect, it } from '@jest/globals';
import { type ProviderWindow, quantile, reopeningLagsMs, windowsOf } from './provider-windows.js';

const window = (startedMs: number, blockedMs: number, reopensMs: number): ProviderWindow => ({
  startedMs,
  blockedMs,
  reopensMs,
});
const free = (arrivedAtMs: number, answeredAtMs: number) => ({ arrivedAtMs, answeredAtMs, outcome: 'free' }) as const;
const paid = (arrivedAtMs: number) => ({ arrivedAtMs, outcome: 'paid' }) as const;

it('windowsOf turns a block that never came into infinity', () => {
  const startedAt = new Date(5).toISOString();
  const windows = [{ startedAt, blockedAt: null, reopensAt: null, accepted: 1, refused: 0 }];
  expect(windowsOf({ accepted: 1, refused: 0, windows })).toEqual([window(5, Infinity, Infinity)]);
});

describe('reopeningLagsMs', () => {
  it('is the wait of the first free message when no message was paid for', () => {
    expect(reopeningLagsMs([window(0, 10, 100), window(130, 140, 200)], [free(120, 133)])).toEqual([10]);
  });

  it('reaches to the last message paid for before the first free message arrived', () => {
    const messages = [paid(50), paid(104), paid(108), free(150, 153), paid(151)];
    expect(reopeningLagsMs([window(0, 10, 100), window(152, 160, 260)], messages)).toEqual([8]);
  });

  it('starts at the reopening for a message that arrived before it', () => {
    expect(reopeningLagsMs([window(0, 10, 100), window(105, 140, 200)], [free(60, 106)])).toEqual([5]);
  });

  it('has no value for a block that never ended', () => {
    expect(reopeningLagsMs([window(0, 10, 100)], [paid(150)])).toEqual([]);
    expect(reopeningLagsMs([window(0, Infinity, Infinity), window(50, 60, 160)], [free(49, 51)])).toEqual([]);
  });
});

it('quantile is the smallest value that the share does not exceed, and 0 of no values', () => {
  expect(quantile([4, 1, 3, 2], 0.5)).toBe(2);
  expect(quantile([4, 1, 3, 2], 0.99)).toBe(4);
  expect(quantile([], 0.5)).toBe(0);
});
