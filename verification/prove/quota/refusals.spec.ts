import { expect, it } from '@jest/globals';
import type { MessageRecord } from './pod-protocol.js';
import { refusalsOf } from './refusals.js';
import type { RunLog } from './run-log.js';
import { scenario } from './scenarios.js';

const NONE = { unexplained: 0, byUnknown: 0, probes: 0, byHidden: 0, underWay: 0, byForeign: 0, ofForeign: 0 };

function runLog(counts: { refused: number; unknown?: number; foreign?: number }): RunLog {
  const { refused, unknown = 0, foreign = 0 } = counts;
  const record = (): MessageRecord => ({ id: 'a', outcome: 'unknown', arrivedAtMs: 0, decidedAtMs: 0 });
  const window = { startedMs: 0, blockedMs: 10, reopensMs: 110 };
  return {
    pods: [{ records: Array.from({ length: unknown }, record), trips: 0, stallMs: 0, wasPaused: false }],
    provider: {
      accepted: 2,
      refused,
      windows: [window, { ...window, startedMs: 200, blockedMs: Infinity }],
      counts: [2],
    },
    foreign: Array.from({ length: foreign }, () => ({ atMs: 20, isAccepted: false })),
    fault: undefined,
  };
}

it('refusalsOf explains no refusal of a run without a fault', () => {
  expect(refusalsOf(runLog({ refused: 2 }), scenario({}))).toEqual({ ...NONE, unexplained: 2 });
});

it('refusalsOf explains one refusal for each unknown outcome, and one for a killed pod', () => {
  const log = runLog({ refused: 4, unknown: 2 });
  expect(refusalsOf(log, scenario({ fault: 'pod killed' }))).toEqual({ ...NONE, unexplained: 1, byUnknown: 3 });
});

it('refusalsOf explains one refusal a block where the block begins with a refusal', () => {
  const log = runLog({ refused: 2 });
  expect(refusalsOf(log, scenario({ policy: 'block at refusal' }))).toEqual({ ...NONE, unexplained: 1, probes: 1 });
});

it('refusalsOf blames another client for its own refusals, and for ours while it sends', () => {
  const log = runLog({ refused: 5, foreign: 3 });
  const fault = 'foreign, unannounced';
  expect(refusalsOf(log, scenario({ fault }))).toEqual({ ...NONE, byForeign: 2, ofForeign: 3 });
});

it('refusalsOf explains one refusal of a lost count only where neither time nor headers restore the count', () => {
  const log = runLog({ refused: 1 });
  const fault = 'Redis restarted empty';
  expect(refusalsOf(log, scenario({ fault, announces: false })).byUnknown).toBe(1);
  expect(refusalsOf(log, scenario({ fault, announces: true })).unexplained).toBe(1);
  expect(refusalsOf(log, scenario({ fault, announces: false, policy: 'sliding window' })).unexplained).toBe(1);
});

/** A run whose messages were refused, or accepted, from one moment to another. */
function sentLog(refused: [fromMs: number, toMs: number][], free: [fromMs: number, toMs: number][] = []): RunLog {
  const record = (outcome: MessageRecord['outcome'], [fromMs, toMs]: [number, number]): MessageRecord => ({
    id: 'a',
    outcome,
    arrivedAtMs: fromMs,
    decidedAtMs: fromMs,
    answeredAtMs: toMs,
  });
  const log = runLog({ refused: refused.length });
  const records = [...refused.map((one) => record('refused', one)), ...free.map((one) => record('free', one))];
  return { ...log, pods: [{ records, trips: 0, stallMs: 0, wasPaused: false }] };
}

it('refusalsOf explains one refusal a pause where a limit is not configured, and those of requests under way then', () => {
  const hidden = scenario({ hidden: 'hidden burst' });
  const log = sentLog([
    [0, 5],
    [4, 9],
    [300, 305],
    [1_200, 1_205],
  ]);
  expect(refusalsOf(log, hidden)).toEqual({ ...NONE, unexplained: 1, byHidden: 2, underWay: 1 });
  expect(refusalsOf(log, scenario({}))).toEqual({ ...NONE, unexplained: 4 });
});

it('refusalsOf explains a refusal of a message that was sent while another one used more tokens than estimated', () => {
  const tokens = scenario({ policy: 'tokens', estimate: 0.5 });
  expect(refusalsOf(sentLog([[12, 15]], [[10, 14]]), tokens)).toEqual({ ...NONE, underWay: 1 });
  expect(refusalsOf(sentLog([[90, 95]], [[10, 14]]), tokens)).toEqual({ ...NONE, unexplained: 1 });
});
