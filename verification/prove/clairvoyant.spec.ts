import { describe, expect, it } from '@jest/globals';
import { clairvoyantAccepts } from './clairvoyant.js';
import { admissionOf } from './provider-policy.js';

const accepts = (instants: number[], foreign: number[] = []): number =>
  clairvoyantAccepts(admissionOf({ policy: 'count-then-block', limit: 2, blockMs: 100, startsAt: 'last-accept' }), [
    ...instants.map((atMs) => ({ atMs })),
    ...foreign.map((atMs) => ({ atMs, isForeign: true })),
  ]).length;

describe('clairvoyantAccepts', () => {
  it('has every arrival while the window has room', () => {
    expect(accepts([0, 500])).toBe(2);
  });

  it('has none during the block, which is counted from the last accepted one', () => {
    expect(accepts([0, 10, 20, 109, 110, 111, 112])).toBe(4);
  });

  it('does not depend on the order they are told in', () => {
    expect(accepts([110, 0, 20, 10])).toBe(3);
  });

  it('loses to others what they take, and does not count it as its own', () => {
    expect(accepts([0, 10, 20], [5])).toBe(1);
  });
});
