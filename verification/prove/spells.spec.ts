import { describe, expect, it } from '@jest/globals';
import { whileOpen, quantile, reopeningLagsMs, type Spell, spellsOf } from './spells.js';

const spell = (startedMs: number, blockedMs: number, reopensMs: number): Spell => ({
  startedMs,
  blockedMs,
  reopensMs,
  accepted: 2,
  refused: 0,
});
const free = (arrivedAtMs: number, answeredAtMs: number) => ({ arrivedAtMs, answeredAtMs, outcome: 'free' }) as const;
const paid = (arrivedAtMs: number) => ({ arrivedAtMs, outcome: 'paid' }) as const;

describe('spellsOf', () => {
  it('takes what never came for infinitely late', () => {
    const startedAt = new Date(5).toISOString();
    const windows = [{ startedAt, blockedAt: null, reopensAt: null, accepted: 1, refused: 0 }];
    expect(spellsOf({ accepted: 1, refused: 0, windows })).toEqual([
      { startedMs: 5, blockedMs: Infinity, reopensMs: Infinity, accepted: 1, refused: 0 },
    ]);
  });
});

describe('reopeningLagsMs', () => {
  it('is the time the first free message waited when none was paid for', () => {
    expect(reopeningLagsMs([spell(0, 10, 100), spell(130, 140, 200)], [free(120, 133)])).toEqual([10]);
  });

  it('reaches to the last message paid for before the first accept', () => {
    const uses = [paid(50), paid(104), paid(108), free(150, 153)];
    expect(reopeningLagsMs([spell(0, 10, 100), spell(152, 160, 260)], uses)).toEqual([8]);
  });

  it('does not reach to messages paid for while the first was on its way', () => {
    const uses = [paid(104), free(150, 153), paid(151)];
    expect(reopeningLagsMs([spell(0, 10, 100), spell(152, 160, 260)], uses)).toEqual([4]);
  });

  it('does not count the time before the reopening for a message that had waited through it', () => {
    expect(reopeningLagsMs([spell(0, 10, 100), spell(105, 140, 200)], [free(60, 106)])).toEqual([5]);
  });

  it('has nothing to say of a block that never ended', () => {
    expect(reopeningLagsMs([spell(0, 10, 100)], [paid(150)])).toEqual([]);
    expect(reopeningLagsMs([spell(0, Infinity, Infinity), spell(50, 60, 160)], [free(49, 51)])).toEqual([]);
  });
});

describe('whileOpen', () => {
  const spells = [spell(0, 10, 100), spell(150, 200, 300)];
  const margins = { graceMs: 20, answerMs: 5 };

  it('has what lies after the grace, and before the last was given away', () => {
    expect(whileOpen(spells, [121, 194], margins)).toEqual([121, 194]);
  });

  it('has nothing of the block, of the grace, or of the time the last was on its way', () => {
    expect(whileOpen(spells, [6, 50, 119, 196, 250], margins)).toEqual([]);
  });

  it('leaves the end of a window that ended by time alone to the grace', () => {
    const byTime = [spell(0, Infinity, Infinity), spell(100, 160, 200)];
    expect(whileOpen(byTime, [50, 85, 115, 130], margins)).toEqual([50, 130]);
  });

  it('begins at the very beginning, when the provider had never been asked', () => {
    expect(whileOpen(spells, [-50], margins)).toEqual([-50]);
  });
});

describe('quantile', () => {
  it('is the value that so many do not exceed', () => {
    expect(quantile([4, 1, 3, 2], 0.5)).toBe(2);
    expect(quantile([4, 1, 3, 2], 0.99)).toBe(4);
    expect(quantile([], 0.5)).toBe(0);
  });
});
