import { expect, it } from '@jest/globals';
import { clairvoyantAccepts } from './clairvoyant.js';
import { admissionOf } from './provider-policy.js';
import type { ProviderLimit } from './scenarios.js';

const LIMIT: ProviderLimit = {
  policy: { policy: 'count-then-block', limit: 2, blockMs: 100, startsAt: 'last-accept' },
  unit: 'requests',
  isAnnounced: false,
};
const accepts = (instants: number[], foreign: number[] = []): number =>
  clairvoyantAccepts(admissionOf([LIMIT]), [
    ...instants.map((atMs) => ({ atMs })),
    ...foreign.map((atMs) => ({ atMs, isForeign: true })),
  ]).length;

it('clairvoyantAccepts counts all requests while the provider is open, and none while it blocks', () => {
  expect(accepts([0, 500])).toBe(2);
  expect(accepts([0, 10, 20, 109, 110, 111, 112])).toBe(4);
});

it('clairvoyantAccepts sorts the requests by time', () => {
  expect(accepts([110, 0, 20, 10])).toBe(3);
});

it('clairvoyantAccepts gives foreign requests their slots and does not count them', () => {
  expect(accepts([0, 10, 20], [5])).toBe(1);
});
