import { describe, expect, it } from '@jest/globals';
import { sentTwice, unexplained } from './losses.js';
import type { MessageRecord } from './message-record.js';
import type { PodLog, RunLog } from './run-log.js';

const record = (id: string, outcome: MessageRecord['outcome'] = 'free'): MessageRecord => ({
  id,
  outcome,
  arrivedAtMs: 0,
  decidedAtMs: 1,
});

function podLog(some: Partial<PodLog>): PodLog {
  const arrivals = ['a', 'b', 'c'].map((id, index) => ({ id, atMs: index * 1_000 }));
  return {
    arrivals,
    records: [],
    trips: 0,
    tripsWhileBlocked: 0,
    stallMs: 0,
    killedAtMs: undefined,
    wasPaused: false,
    ...some,
  };
}

const runLog = (...pods: PodLog[]): RunLog => ({
  pods,
  provider: { accepted: 0, refused: 0, spells: [] },
  foreign: [],
  fault: undefined,
});

describe('unexplained', () => {
  it('names the messages nobody heard of', () => {
    expect(unexplained(podLog({ records: [record('b', 'paid')] }), 500)).toEqual(['a', 'c']);
  });

  it('forgives a dead pod what came after its death, or so shortly before that it had no time to tell', () => {
    expect(unexplained(podLog({ killedAtMs: 1_400 }), 500)).toEqual(['a']);
  });
});

describe('sentTwice', () => {
  it('counts a message that is told of twice', () => {
    const log = runLog(podLog({ records: [record('a'), record('a', 'paid')] }));
    expect(sentTwice(log, { free: 1, timeoutMs: 500 })).toBe(1);
  });

  it('counts accepts that no message accounts for', () => {
    const log = runLog(podLog({ records: [record('a'), record('b', 'unknown'), record('c', 'paid')] }));
    expect(sentTwice(log, { free: 2, timeoutMs: 500 })).toBe(0);
    expect(sentTwice(log, { free: 3, timeoutMs: 500 })).toBe(1);
  });

  it('takes what died with its pod for accepted, if it may have been', () => {
    const log = runLog(podLog({ records: [record('a')], killedAtMs: 1_100 }));
    expect(sentTwice(log, { free: 2, timeoutMs: 500 })).toBe(0);
    expect(sentTwice(log, { free: 3, timeoutMs: 500 })).toBe(1);
  });
});
