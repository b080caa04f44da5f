import { describe, expect, it } from '@jest/globals';
import type { ConsoleEvent, PodTotals } from '#contracts';
import { NO_COUNTS, TotalsDifference } from './totals.js';

const OPENED_MS = Date.parse('2026-11-27T12:00:00Z');
const BEFORE = '2026-11-27T11:00:00Z';
const AFTER = '2026-11-27T12:00:01Z';

function eventOf(...pods: PodTotals[]): ConsoleEvent {
  const standing = { state: 'unlimited' as const, limit: null, used: null, remaining: null, reopensAt: null };
  const providers = [
    { name: 'free', priceMicros: 0 },
    { name: 'cheap', priceMicros: 2_500 },
    { name: 'dear', priceMicros: 7_900 },
  ].map((provider) => Object.assign({ account: provider.name, reason: null, quotas: [] }, provider, standing));
  return { at: AFTER, pod: 'a', quota: { currency: 'USD', providers }, pods, missing: [] };
}

function pod(
  name: string,
  startedAt: string,
  delivered: Record<string, number>,
  more: Partial<PodTotals> = {},
): PodTotals {
  return { pod: name, startedAt, delivered, waiting: 0, refused: 0, failed: 0, ...more };
}

describe('TotalsDifference', () => {
  it('counts nothing that pods did before the page was opened', () => {
    const difference = new TotalsDifference(OPENED_MS);
    expect(difference.next(eventOf(pod('a', BEFORE, { free: 100 })))).toEqual(NO_COUNTS);
  });

  it('adds up pods, prices paid messages, and values free ones at the cheapest paid provider', () => {
    const difference = new TotalsDifference(OPENED_MS);
    difference.next(eventOf(pod('a', BEFORE, { free: 100 }), pod('b', BEFORE, { dear: 7 })));
    const counts = difference.next(
      eventOf(pod('a', BEFORE, { free: 103, cheap: 1 }, { waiting: 2 }), pod('b', BEFORE, { dear: 8 }, { refused: 1 })),
    );
    expect(counts).toEqual({
      free: 3,
      paid: 2,
      waiting: 2,
      refused: 1,
      failed: 0,
      spentMicros: 10_400,
      savedMicros: 7_500,
    });
  });

  it('counts what happened while events were missed, or came from another pod', () => {
    const difference = new TotalsDifference(OPENED_MS);
    difference.next(eventOf(pod('a', BEFORE, { free: 1 })));
    difference.next(eventOf());
    expect(difference.next(eventOf(pod('a', BEFORE, { free: 5 }))).free).toBe(4);
  });

  it('counts everything that a pod did which started after the page was opened', () => {
    const difference = new TotalsDifference(OPENED_MS);
    difference.next(eventOf(pod('a', BEFORE, {})));
    expect(difference.next(eventOf(pod('a', BEFORE, {}), pod('b', AFTER, { free: 2 }))).free).toBe(2);
  });

  it('takes the first totals of an old pod that answers late as its beginning', () => {
    const difference = new TotalsDifference(OPENED_MS);
    difference.next(eventOf(pod('a', BEFORE, {})));
    expect(difference.next(eventOf(pod('a', BEFORE, {}), pod('b', BEFORE, { free: 50 })))).toEqual(NO_COUNTS);
  });
});
