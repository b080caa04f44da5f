import { describe, expect, it } from '@jest/globals';
import type { MessageRecord } from '#contracts';
import { formatTimeline, formatTrace } from './format-trace.js';

const record: MessageRecord = {
  id: '01a1fe14-630a-72ef-ac64-facc85fd6421',
  channel: 'default',
  status: 'delivered',
  account: 'paid',
  message: 'hello',
  mayPay: true,
  priority: 'normal',
  provider: 'free',
  response: 'olleh',
  costMicros: 0,
  currency: 'USD',
  createdAt: '2026-11-20T12:00:00.000Z',
  deliverBy: null,
  deliveredAt: '2026-11-20T12:00:00.040Z',
  finishedAt: '2026-11-20T12:00:00.040Z',
  reason: null,
  detail: null,
  requestId: 'call-1',
  traceId: 'abc',
  idempotencyKey: null,
  callbackUrl: null,
  attempts: [],
  hops: [
    { seq: 1, at: '2026-11-20T12:00:00.000Z', pod: 'one', step: 'accepted' },
    { seq: 2, at: '2026-11-20T12:00:00.010Z', pod: 'two', step: 'sending', provider: 'free', epoch: 7 },
  ],
};

describe('formatTrace', () => {
  it('shows step, time, place and facts of every hop, and not the message', () => {
    const text = formatTrace(record);
    expect(text).toContain('status   delivered by free for 0 USD\n');
    expect(text).toMatch(/^ {2}1 .*\+0 ms +accepted .*\[one\]$/m);
    expect(text).toMatch(/^ {2}2 .*\+10 ms +sending +sent to the provider +free, window 7 {2}\[two\]$/m);
    expect(text).not.toContain('hello');
  });

  it('shows why a message failed, and the reason of each attempt that has one', () => {
    const at = record.createdAt;
    const text = formatTrace({
      ...record,
      status: 'failed',
      provider: null,
      reason: 'provider_failed',
      detail: 'No provider could deliver it.',
      hops: [
        {
          seq: 1,
          at,
          pod: 'one',
          step: 'answered',
          provider: 'free',
          outcome: 'failed',
          httpStatus: 500,
          durationMs: 3,
        },
        {
          seq: 2,
          at,
          pod: 'one',
          step: 'answered',
          provider: 'paid',
          outcome: 'failed',
          reason: 'connect ECONNREFUSED',
        },
        { seq: 3, at, pod: 'one', step: 'failed', reason: 'provider_failed' },
      ],
    });
    expect(text).toContain('status   failed: provider_failed: No provider could deliver it.\n');
    expect(text).toMatch(/answered .* free, failed, HTTP 500, 3 ms {2}\[one\]$/m);
    expect(text).toMatch(/answered .* paid, failed, connect ECONNREFUSED {2}\[one\]$/m);
    expect(text).toMatch(/failed +not delivered +provider_failed {2}\[one\]$/m);
  });
});

describe('formatTimeline', () => {
  it('numbers the messages of a trace, and shows their hops in order of time', () => {
    const at = (ms: number): string => new Date(Date.parse(record.createdAt) + ms).toISOString();
    const other: MessageRecord = {
      ...record,
      id: '01a1fe14-6314-7fff-8000-facc85fd6421',
      status: 'waiting',
      provider: null,
      hops: [
        { seq: 1, at: at(5), pod: 'two', step: 'accepted' },
        { seq: 2, at: at(10), pod: 'two', step: 'waiting', waitMs: 900 },
      ],
    };
    const lines = formatTimeline([record, other]).split('\n');
    expect(lines.slice(0, 4)).toEqual([
      'trace  abc',
      `   #1  ${record.id}  delivered by free for 0 USD`,
      `   #2  ${other.id}  waiting`,
      '',
    ]);
    expect(lines.slice(4).map((line) => line.replace(/ +/g, ' ').trim())).toEqual([
      `#1 ${at(0)} +0 ms accepted accepted by the gateway [one]`,
      `#2 ${at(5)} +5 ms accepted accepted by the gateway [two]`,
      `#1 ${at(10)} +10 ms sending sent to the provider free, window 7 [two]`,
      `#2 ${at(10)} +10 ms waiting waits wait 900 ms [two]`,
    ]);
  });
});
