import { describe, expect, it } from '@jest/globals';
import type { MessageRecord } from './message-record.js';
import { freeInOutage, recoveryOf } from './recovery.js';
import type { RunLog } from './run-log.js';
import { type Scenario, scenariosOf } from './scenarios.js';

const [any] = scenariosOf({ quick: true });
const scenario = (but: Partial<Scenario>): Scenario => ({ ...(any as Scenario), limit: 2, ...but });
const record = (atMs: number, outcome: MessageRecord['outcome']): MessageRecord => ({
  id: String(atMs),
  outcome,
  arrivedAtMs: atMs,
  decidedAtMs: atMs,
  answeredAtMs: outcome === 'paid' ? undefined : atMs + 2,
});
const window = (startedMs: number, blockedMs: number) => ({
  startedMs,
  blockedMs,
  reopensMs: blockedMs + 2_000,
  accepted: 2,
  refused: 0,
});

function runLog(records: MessageRecord[], but: Partial<RunLog>): RunLog {
  return {
    pods: [
      { arrivals: [], records, trips: 0, tripsWhileBlocked: 0, stallMs: 0, killedAtMs: undefined, wasPaused: false },
    ],
    provider: { accepted: 0, refused: 0, spells: [] },
    foreign: [],
    fault: { beganMs: 500, endedMs: 1_000 },
    ...but,
  };
}

describe('recoveryOf', () => {
  const spells = [window(1, 11), window(2_501, 2_511), window(5_001, 5_011)];
  const provider = { accepted: 6, refused: 0, spells };

  it('begins with the second window after the fault, and finds it fresh', () => {
    const records = [record(2_500, 'free'), record(2_510, 'paid'), record(5_000, 'free'), record(5_010, 'free')];
    const log = runLog([...records, record(5_020, 'paid')], { provider });
    expect(recoveryOf(log, scenario({ fault: 'pod killed' }))).toEqual({ free: 2, possible: 2, refused: 0 });
  });

  it('tells what was possible and not used, and what was refused', () => {
    const log = runLog([record(5_000, 'free'), record(5_010, 'paid'), record(5_020, 'refused')], { provider });
    expect(recoveryOf(log, scenario({ fault: 'pod killed' }))).toEqual({ free: 1, possible: 2, refused: 1 });
  });

  it('counts where windows slide what was sent before', () => {
    const records = [record(4_900, 'free'), record(5_100, 'free'), record(5_200, 'paid'), record(6_950, 'free')];
    const log = runLog(records, {});
    const sliding = scenario({ fault: 'pod killed', policy: 'sliding window' });
    expect(recoveryOf(log, sliding)).toEqual({ free: 2, possible: 2, refused: 0 });
  });

  it('has nothing to tell without a fault, and no way back where no second window came', () => {
    expect(recoveryOf(runLog([], { fault: undefined }), scenario({}))).toBeUndefined();
    expect(recoveryOf(runLog([record(1_500, 'free')], {}), scenario({ fault: 'pod killed' }))?.possible).toBe(0);
  });
});

describe('freeInOutage', () => {
  it('counts what was sent when the last permit had run out', () => {
    const records = [record(600, 'free'), record(1_100, 'free'), record(1_200, 'paid'), record(2_500, 'free')];
    expect(freeInOutage(runLog(records, { fault: { beganMs: 500, endedMs: 2_000 } }))).toBe(1);
  });
});
