import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { LimitedPolicy } from '#quota';
import { dueThresholdsMs, patientShare, type Situation } from './patient-share.js';

const LIMIT = 100;
const PERIOD_MS = 5_000;
const countThenBlock: LimitedPolicy = {
  policy: 'count-then-block',
  limit: LIMIT,
  blockMs: PERIOD_MS,
  startsAt: 'last-accept',
};
const clockWindow: LimitedPolicy = {
  policy: 'fixed-window',
  limit: LIMIT,
  windowMs: PERIOD_MS,
  anchor: 'clock',
  clockSkewMs: 0,
};
const sliding: LimitedPolicy = { policy: 'sliding-window', limit: LIMIT, windowMs: PERIOD_MS };
const bucket: LimitedPolicy = { policy: 'token-bucket', capacity: LIMIT, refillPerSecond: 20 };

const STEADY = { recent: 10, usual: 10 };
const LULL = { recent: 4, usual: 10 };
const BURST = { recent: 30, usual: 10 };
const NONE = { recent: 0, usual: 0 };

type Given = Partial<Omit<Situation, 'waiting'>> & { dueMs: number[] };

function takeOf({ dueMs, ...given }: Given): number {
  const common = { policy: countThenBlock, slots: LIMIT, urgentPerSecond: STEADY, roundTripMs: 30, ...given };
  const dueWithin = dueThresholdsMs(common).map((ms) => dueMs.filter((due) => due <= ms).length);
  return patientShare({ ...common, waiting: { total: dueMs.length, dueWithin } }).take;
}

const due = (count: number, ms: number): number[] => Array<number>(count).fill(ms);

describe('patientShare for count-then-block', () => {
  it('sends no patient message while later windows have enough slots before the deadlines', () => {
    expect(takeOf({ dueMs: due(150, 20_000) })).toBe(0);
    expect(takeOf({ dueMs: due(50, 20_000), slots: 60 })).toBe(0);
  });

  it('uses up the window when one patient message must go and enough others wait', () => {
    expect(takeOf({ dueMs: [1_000, ...due(150, 20_000)] })).toBe(LIMIT);
  });

  it('sends only the patient messages that must go when they cannot use up the window', () => {
    expect(takeOf({ dueMs: [1_000, 2_000, ...due(50, 20_000)] })).toBe(2);
  });

  it('uses up the window in a lull of urgent messages, not in a burst', () => {
    expect(takeOf({ dueMs: due(60, 20_000), slots: 60, urgentPerSecond: LULL })).toBe(60);
    expect(takeOf({ dueMs: due(60, 20_000), slots: 60, urgentPerSecond: BURST })).toBe(0);
    expect(takeOf({ dueMs: due(59, 20_000), slots: 60, urgentPerSecond: LULL })).toBe(0);
  });

  it('sends all patient messages when there are no urgent messages', () => {
    expect(takeOf({ dueMs: due(50, 60_000), urgentPerSecond: NONE })).toBe(50);
    expect(takeOf({ dueMs: due(1_000, 60_000), urgentPerSecond: NONE })).toBe(LIMIT);
  });

  it('starts early enough when patient messages need many windows before a far deadline', () => {
    expect(takeOf({ dueMs: due(900, 20 * PERIOD_MS) })).toBe(0);
    expect(takeOf({ dueMs: due(1_900, 20 * PERIOD_MS) })).toBe(LIMIT);
    expect(takeOf({ dueMs: due(20_000, 200 * PERIOD_MS) })).toBe(LIMIT);
  });

  it('does not count on slots that urgent messages take while a pod reacts', () => {
    const needsAll = { dueMs: due(90, 7_000), slots: 95 };
    expect(takeOf(needsAll)).toBe(0);
    expect(takeOf({ ...needsAll, urgentPerSecond: { recent: 1_000, usual: 1_000 } })).toBe(25);
  });

  it('counts on a later window only if it opens before the deadline', () => {
    const [first = 0, second = 0] = dueThresholdsMs({ policy: countThenBlock, roundTripMs: 30 });
    expect(first).toBeGreaterThan(PERIOD_MS + 30);
    expect(takeOf({ dueMs: [first] })).toBe(1);
    expect(takeOf({ dueMs: [first + 1] })).toBe(0);
    expect(takeOf({ dueMs: due(98, second) })).toBe(4);
  });
});

describe('patientShare for policies that lose unused slots', () => {
  const many = due(200, 60_000);

  it('takes the slots of a fixed window that urgent messages are unlikely to need before its end', () => {
    const window = { policy: clockWindow, dueMs: due(200, 60_000), slots: 60 };
    expect(takeOf({ ...window, windowEndsInMs: 4_155 })).toBe(60 - 40 - 13);
    expect(takeOf({ ...window, windowEndsInMs: 150 })).toBe(60);
    expect(takeOf({ ...window, windowEndsInMs: 4_155, urgentPerSecond: BURST })).toBe(0);
  });

  it('takes as many slots of a fixed window as later windows lack before the deadlines', () => {
    expect(takeOf({ policy: clockWindow, dueMs: due(90, 4_000), windowEndsInMs: 4_500, slots: 80 })).toBe(80);
    expect(takeOf({ policy: clockWindow, dueMs: due(190, 10_300), windowEndsInMs: 4_900, slots: 99 })).toBe(96);
  });

  it('takes the slots of a sliding window except a reserve of two standard deviations', () => {
    expect(takeOf({ policy: sliding, dueMs: many, slots: 50, urgentPerSecond: { recent: 5, usual: 5 } })).toBe(40);
    expect(takeOf({ policy: sliding, dueMs: many, slots: 50, urgentPerSecond: NONE })).toBe(50);
  });

  it('takes the tokens a bucket has no room for, and none when urgent messages may need all of it', () => {
    expect(takeOf({ policy: bucket, dueMs: due(10, 60_000), urgentPerSecond: BURST })).toBe(2);
    expect(takeOf({ policy: bucket, dueMs: due(10, 60_000), slots: 97, urgentPerSecond: BURST })).toBe(0);
  });
});

describe('patientShare in any situation', () => {
  const situation = fc.record({
    policy: fc.constantFrom(countThenBlock, clockWindow, sliding, bucket),
    slots: fc.integer({ min: 0, max: LIMIT }),
    urgentPerSecond: fc.record({
      recent: fc.double({ min: 0, max: 1e4, noNaN: true }),
      usual: fc.double({ min: 0, max: 1e4, noNaN: true }),
    }),
    dueMs: fc.array(fc.integer({ min: -10, max: 200_000 }), { maxLength: 300 }),
    roundTripMs: fc.integer({ min: 0, max: 2_000 }),
  });

  it('takes a whole number of slots, at most the open ones, for at least the messages due before the next opening', () => {
    fc.assert(
      fc.property(situation, (given) => {
        const take = takeOf(given);
        const [firstMs = 0] = dueThresholdsMs(given);
        expect(Number.isInteger(take)).toBe(true);
        expect(take).toBeLessThanOrEqual(Math.min(given.slots, given.dueMs.length));
        const urgent = given.dueMs.filter((ms) => ms <= firstMs).length;
        expect(take).toBeGreaterThanOrEqual(Math.min(given.slots, urgent));
      }),
    );
  });

  it('never takes fewer slots when the same messages are due sooner', () => {
    fc.assert(
      fc.property(situation, fc.integer({ min: 0, max: 50_000 }), (given, soonerMs) => {
        const sooner = { ...given, dueMs: given.dueMs.map((ms) => ms - soonerMs) };
        expect(takeOf(sooner)).toBeGreaterThanOrEqual(takeOf(given));
      }),
    );
  });
});
