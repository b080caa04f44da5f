import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { leastPaid, type Load } from './offline-optimum.js';

interface Small {
  load: Load;
  limit: number;
  blockMs: number;
}

const LAST_MS = 9;
const moment = fc.integer({ min: 0, max: LAST_MS });
const urgentAtMs = fc.array(moment, { maxLength: 6 });
const limits = { limit: fc.integer({ min: 1, max: 3 }), blockMs: fc.integer({ min: 1, max: 4 }) };

const mixed: fc.Arbitrary<Small> = fc.record({
  load: fc.record({ urgentAtMs, patients: patientsWith(fc.integer({ min: 0, max: 6 })) }),
  ...limits,
});
const alike: fc.Arbitrary<Small> = fc.integer({ min: 0, max: 6 }).chain((patienceMs) =>
  fc.record({
    load: fc.record({ urgentAtMs, patients: patientsWith(fc.constant(patienceMs)) }),
    ...limits,
  }),
);

function patientsWith(patienceMs: fc.Arbitrary<number>) {
  return fc.array(
    fc.tuple(moment, patienceMs).map(([atMs, ms]) => ({ atMs, sendByMs: atMs + ms })),
    { maxLength: 6 },
  );
}

/**
 * Tries everything: at each moment every number of urgent ones and every set of those that wait. All moments are whole,
 * and nothing is gained by acting between them.
 */
function triedOut({ load, limit, blockMs }: Small): number {
  const known = new Map<string, number>();
  const from = (atMs: number, slots: number, opensMs: number, left: number): number => {
    if (atMs > LAST_MS + 6) return 0;
    const key = [atMs, slots, Math.max(atMs, opensMs), left].join();
    const best = known.get(key) ?? tryAll(atMs, slots, opensMs, left);
    known.set(key, best);
    return best;
  };
  const tryAll = (atMs: number, slots: number, opensMs: number, left: number): number => {
    const urgent = load.urgentAtMs.filter((ms) => ms === atMs).length;
    const here = maskOf((patient) => patient.atMs <= atMs) & left;
    const overdue = maskOf((patient) => patient.sendByMs <= atMs) & left;
    const room = atMs < opensMs ? 0 : slots;
    let best = Infinity;
    for (let sent = here; ; sent = (sent - 1) & here) {
      for (let free = 0; free <= urgent && free + ones(sent) <= room; free += 1) {
        const used = free + ones(sent);
        const isFull = used === slots;
        const rest = left & ~sent & ~overdue;
        const later = from(atMs + 1, isFull ? limit : slots - used, isFull ? atMs + blockMs : opensMs, rest);
        best = Math.min(best, later + urgent - free + ones(overdue & ~sent));
      }
      if (sent === 0) return best;
    }
  };
  const maskOf = (holds: (patient: { atMs: number; sendByMs: number }) => boolean): number =>
    load.patients.reduce((mask, patient, index) => (holds(patient) ? mask | (1 << index) : mask), 0);
  return from(0, limit, 0, (1 << load.patients.length) - 1);
}

function ones(mask: number): number {
  return mask === 0 ? 0 : (mask & 1) + ones(mask >> 1);
}

describe('leastPaid', () => {
  it('is what trying everything finds, with one common patience', () => {
    fc.assert(
      fc.property(alike, (small) => {
        expect(leastPaid(small.load, small)).toBe(triedOut(small));
      }),
      { numRuns: 2_000 },
    );
  });

  it('is never more than trying everything finds, whatever the deadlines', () => {
    let exact = 0;
    fc.assert(
      fc.property(mixed, (small) => {
        const least = triedOut(small);
        const bound = leastPaid(small.load, small);
        exact += Number(bound === least);
        expect(bound).toBeLessThanOrEqual(least);
      }),
      { numRuns: 2_000 },
    );
    expect(exact).toBeGreaterThan(1_800);
  });

  it('lets patient messages wait for a lull', () => {
    const load = { urgentAtMs: [10, 11, 12], patients: [0, 1, 2].map((atMs) => ({ atMs, sendByMs: atMs + 50 })) };
    expect(leastPaid(load, { limit: 3, blockMs: 20 })).toBe(0);
    expect(leastPaid(load, { limit: 3, blockMs: 45 })).toBe(3);
  });
});
