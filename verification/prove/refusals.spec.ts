import { describe, expect, it } from '@jest/globals';
import type { MessageRecord } from './message-record.js';
import { refusalsOf } from './refusals.js';
import type { RunLog } from './run-log.js';
import { type Scenario, scenariosOf } from './scenarios.js';

const [any] = scenariosOf({ quick: true });
const scenario = (but: Partial<Scenario>): Scenario => ({ ...(any as Scenario), ...but });
const NONE = { ours: 0, byUnknown: 0, inherent: 0, byForeign: 0, ofForeign: 0 };

function runLog({
  refused,
  unknown = 0,
  foreign = 0,
}: {
  refused: number;
  unknown?: number;
  foreign?: number;
}): RunLog {
  const records = Array.from({ length: unknown }, (_, index): MessageRecord => ({
    id: String(index),
    outcome: 'unknown',
    arrivedAtMs: 0,
    decidedAtMs: 0,
  }));
  const spell = { startedMs: 0, blockedMs: 10, reopensMs: 110, accepted: 2, refused };
  return {
    pods: [
      { arrivals: [], records, trips: 0, tripsWhileBlocked: 0, stallMs: 0, killedAtMs: undefined, wasPaused: false },
    ],
    provider: { accepted: 2, refused, spells: [spell, { ...spell, startedMs: 200, blockedMs: Infinity }] },
    foreign: Array.from({ length: foreign }, () => ({ atMs: 20, isAccepted: false })),
    fault: undefined,
  };
}

describe('refusalsOf', () => {
  it('has nobody else to blame in a calm run', () => {
    expect(refusalsOf(runLog({ refused: 2 }), scenario({}))).toEqual({ ...NONE, ours: 2 });
  });

  it('forgives one for each unknown send, and one for a pod that was killed', () => {
    const log = runLog({ refused: 4, unknown: 2 });
    expect(refusalsOf(log, scenario({ fault: 'pod killed' }))).toEqual({ ...NONE, ours: 1, byUnknown: 3 });
  });

  it('expects one per block where the block begins with it', () => {
    const log = runLog({ refused: 2 });
    expect(refusalsOf(log, scenario({ policy: 'block at refusal' }))).toEqual({ ...NONE, ours: 1, inherent: 1 });
  });

  it('blames others for what they were refused, and for ours while they were about', () => {
    const log = runLog({ refused: 5, foreign: 3 });
    const fault = 'foreign, unannounced';
    expect(refusalsOf(log, scenario({ fault }))).toEqual({ ...NONE, byForeign: 2, ofForeign: 3 });
  });

  it('forgives a forgotten count one, where neither time nor a header can tell it', () => {
    const log = runLog({ refused: 1 });
    const fault = 'Redis restarted empty';
    expect(refusalsOf(log, scenario({ fault, announces: false })).byUnknown).toBe(1);
    expect(refusalsOf(log, scenario({ fault, announces: true })).ours).toBe(1);
    expect(refusalsOf(log, scenario({ fault, announces: false, policy: 'sliding window' })).ours).toBe(1);
  });
});
