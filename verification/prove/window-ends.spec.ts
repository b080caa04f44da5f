import { describe, expect, it } from '@jest/globals';
import { guardMs } from '#quota';
import { aroundClockEnds, aroundUnusedEnds } from './window-ends.js';

const WINDOW_MS = 1_000;
const MARGIN_MS = guardMs(WINDOW_MS);
const handled = (arrivedAtMs: number, decidedAtMs: number, answeredAtMs?: number) => ({
  arrivedAtMs,
  decidedAtMs,
  answeredAtMs,
});

describe('aroundClockEnds', () => {
  const policy = { policy: 'fixed-window', limit: 9, windowMs: WINDOW_MS, anchor: 'clock', clockSkewMs: 5 } as const;
  const SPAN_MS = MARGIN_MS + 5;

  it('finds what was under way at an end, and what came as near to it as nobody can tell', () => {
    const underWay = handled(900, 910, 1_050);
    const before = handled(1_000 - SPAN_MS - 1, 1_000 - SPAN_MS);
    const after = handled(999 + SPAN_MS, 999 + SPAN_MS);
    expect(aroundClockEnds([underWay, before, after], policy)).toEqual([underWay, before, after]);
  });

  it('takes an answer for known when it was told, as long after it as the permit had been asked for', () => {
    const told = handled(900, 940, 1_000 - SPAN_MS - 40);
    const early = handled(900, 940, 1_000 - SPAN_MS - 41);
    expect(aroundClockEnds([told, early], policy)).toEqual([told]);
  });

  it('finds nothing elsewhere', () => {
    expect(aroundClockEnds([handled(100, 101, 200), handled(1_000 + SPAN_MS, 1_100)], policy)).toEqual([]);
    expect(aroundClockEnds([handled(900, 910, 1_050)], { ...policy, anchor: 'first-accept' })).toEqual([]);
  });
});

describe('aroundUnusedEnds', () => {
  const policy = {
    policy: 'fixed-window',
    limit: 9,
    windowMs: WINDOW_MS,
    anchor: 'first-accept',
    clockSkewMs: 0,
  } as const;

  it('finds what was decided when the window may have ended, or before an answer as slow as its first', () => {
    const first = handled(500, 505, 520);
    const from = handled(1_470 - MARGIN_MS, 1_470 - MARGIN_MS);
    const until = handled(1_530 + MARGIN_MS, 1_530 + MARGIN_MS);
    const elsewhere = [handled(1_400, 1_469 - MARGIN_MS, 1_480), handled(1_531 + MARGIN_MS, 1_531 + MARGIN_MS)];
    expect(aroundUnusedEnds([first, from, until, ...elsewhere], [{ startedMs: 510 }], policy)).toEqual([from, until]);
  });
});
