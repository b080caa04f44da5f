import { describe, expect, it } from '@jest/globals';
import type { MessageRecord } from '#contracts';
import { rangeOf, spansOf } from './spans.js';

const START_MS = Date.parse('2026-11-27T12:00:00Z');
const NOW_MS = START_MS + 60_000;

type Step = Omit<MessageRecord['hops'][number], 'seq' | 'at' | 'pod'> & { afterMs: number };

function recordOf(status: MessageRecord['status'], costMicros: number, steps: Step[]) {
  const hops = steps.map(({ afterMs, ...hop }, index) =>
    Object.assign({ seq: index + 1, pod: 'a', at: new Date(START_MS + afterMs).toISOString() }, hop),
  );
  return { status, costMicros, hops };
}

/** Times since the start. */
function spans(record: ReturnType<typeof recordOf>): unknown[] {
  return spansOf(record, NOW_MS).map(({ kind, tone, fromMs, toMs }) => [
    kind,
    tone,
    fromMs - START_MS,
    toMs - START_MS,
  ]);
}

describe('spansOf', () => {
  it('has each wait and each attempt, by what became of it', () => {
    const record = recordOf('delivered', 2_500, [
      { afterMs: 0, step: 'accepted' },
      { afterMs: 1, step: 'waiting' },
      { afterMs: 500, step: 'sending', provider: 'free' },
      { afterMs: 510, step: 'answered', outcome: 'refused' },
      { afterMs: 511, step: 'sending', provider: 'slow' },
      { afterMs: 900, step: 'answered', outcome: 'unknown' },
      { afterMs: 901, step: 'sending', provider: 'paid' },
      { afterMs: 930, step: 'answered', outcome: 'delivered' },
      { afterMs: 930, step: 'delivered' },
    ]);
    expect(spans(record)).toEqual([
      ['wait', 'waiting', 1, 500],
      ['attempt', 'bad', 500, 510],
      ['attempt', 'doubtful', 511, 900],
      ['attempt', 'paid', 901, 930],
    ]);
  });

  it('goes on until now while the message waits or is being sent', () => {
    expect(spans(recordOf('waiting', 0, [{ afterMs: 0, step: 'waiting' }]))).toEqual([['wait', 'waiting', 0, 60_000]]);
    const sending = recordOf('sending', 0, [{ afterMs: 10, step: 'sending', provider: 'free' }]);
    expect(spans(sending)).toEqual([['attempt', 'plain', 10, 60_000]]);
  });

  it('has no attempt where the permit expired before the send', () => {
    const record = recordOf('failed', 0, [
      { afterMs: 0, step: 'sending', provider: 'free' },
      { afterMs: 9, step: 'no_permit', provider: 'free' },
      { afterMs: 9, step: 'failed' },
    ]);
    expect(spans(record)).toEqual([]);
  });
});

describe('rangeOf', () => {
  it('ends with the last hop, or now if a message has not ended', () => {
    const ended = recordOf('delivered', 0, [
      { afterMs: 5, step: 'accepted' },
      { afterMs: 40, step: 'delivered' },
    ]);
    const open = recordOf('waiting', 0, [{ afterMs: 0, step: 'waiting' }]);
    expect(rangeOf([ended], NOW_MS)).toEqual({ startMs: START_MS + 5, endMs: START_MS + 40 });
    expect(rangeOf([ended, open], NOW_MS)).toEqual({ startMs: START_MS, endMs: NOW_MS });
  });
});
