import { describe, expect, it } from '@jest/globals';
import type { MessageRecord } from './pod-protocol.js';
import { freeInOutage, recoveryOf } from './recovery.js';
import type { RunLog } from './run-log.js';
import { scenario } from './scenarios.js';

const killed = scenario({ limit: 2, fault: 'pod killed' });
const record = (atMs: number, outcome: MessageRecord['outcome']): MessageRecord => ({
  id: String(atMs),
  outcome,
  arrivedAtMs: atMs,
  decidedAtMs: atMs,
  answeredAtMs: outcome === 'paid' ? undefined : atMs + 2,
});
const window = (startedMs: number, blockedMs: number) => ({ startedMs, blockedMs, reopensMs: blockedMs + 2_000 });

function runLog(records: MessageRecord[], but: Partial<RunLog> = {}): RunLog {
  return {
    pods: [{ records, trips: 0, stallMs: 0, wasPaused: false }],
    provider: {
      accepted: 6,
      refused: 0,
      counts: [2, 2, 2],
      windows: [window(1, 11), window(2_501, 2_511), window(5_001, 5_011)],
    },
    foreign: [],
    fault: { beganMs: 500, endedMs: 1_000 },
    ...but,
  };
}

describe('recoveryOf', () => {
  it('counts from the second window after the fault, which starts unused', () => {
    const before = [record(2_500, 'free'), record(2_510, 'paid')];
    const after = [record(5_000, 'free'), record(5_010, 'free'), record(5_020, 'paid')];
    expect(recoveryOf(runLog([...before, ...after]), killed)).toEqual({ free: 2, possible: 2, refused: 0 });
  });

  it('reports unused slots and refusals', () => {
    const log = runLog([record(5_000, 'free'), record(5_010, 'paid'), record(5_020, 'refused')]);
    expect(recoveryOf(log, killed)).toEqual({ free: 1, possible: 2, refused: 1 });
  });

  it('includes earlier sends that a sliding window still counts', () => {
    const records = [record(4_900, 'free'), record(5_100, 'free'), record(5_200, 'paid'), record(6_950, 'free')];
    const sliding = { ...killed, policy: 'sliding window' } as const;
    expect(recoveryOf(runLog(records), sliding)).toEqual({ free: 2, possible: 2, refused: 0 });
  });

  it('is undefined without a fault, and has no possible sends if no second window came', () => {
    expect(recoveryOf(runLog([], { fault: undefined }), killed)).toBeUndefined();
    const provider = { accepted: 0, refused: 0, counts: [], windows: [] };
    expect(recoveryOf(runLog([record(1_500, 'free')], { provider }), killed)?.possible).toBe(0);
  });
});

it('freeInOutage counts sends after the last permit expired and before Redis came back', () => {
  const records = [record(600, 'free'), record(1_100, 'free'), record(1_200, 'paid'), record(2_500, 'free')];
  expect(freeInOutage(runLog(records, { fault: { beganMs: 500, endedMs: 2_000 } }))).toBe(1);
});
