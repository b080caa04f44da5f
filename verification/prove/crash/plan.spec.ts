import { describe, expect, it } from '@jest/globals';
import { KINDS, planOf, QUICK } from './plan.js';

describe('planOf', () => {
  it('is the same for the same seed, and another for another', () => {
    expect(planOf(QUICK, 1)).toEqual(planOf(QUICK, 1));
    expect(planOf(QUICK, 1).strikes).not.toEqual(planOf(QUICK, 2).strikes);
  });

  it('has messages of every kind, each with a text of its own, in order', () => {
    const { messages } = planOf(QUICK, 1);
    expect(new Set(messages.map(({ kind }) => kind))).toEqual(new Set(Object.keys(KINDS)));
    expect(new Set(messages.map(({ text }) => text)).size).toBe(QUICK.messages);
    const instants = messages.map(({ atMs }) => atMs);
    expect(instants).toEqual(instants.toSorted((one, other) => one - other));
  });

  it('strikes each engine once and pods as often as wanted, while messages come', () => {
    const { strikes } = planOf(QUICK, 1);
    const count = (wanted: string): number => strikes.filter(({ at }) => at === wanted).length;
    expect([count('pod'), count('redis'), count('postgres')]).toEqual([QUICK.kills, 1, 1]);
    const endMs = (QUICK.messages / QUICK.perSecond) * 1_000;
    expect(strikes.every(({ atMs }) => atMs > 0 && atMs < endMs)).toBe(true);
  });
});
