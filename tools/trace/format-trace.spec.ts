import { describe, expect, it } from '@jest/globals';
import type { MessageRecord } from '#contracts';
import { formatTrace } from './format-trace.js';

const record: MessageRecord = {
  id: '01a1fe14-630a-72ef-ac64-facc85fd6421',
  status: 'delivered',
  message: 'hello',
  mayPay: true,
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

describe('a trace', () => {
  it('tells every hop, when, where, and what of it', () => {
    const text = formatTrace(record);
    expect(text).toContain('status   delivered by free');
    expect(text).toMatch(/^ {2}1 .*\+0 ms +accepted .*\[one\]$/m);
    expect(text).toMatch(/^ {2}2 .*\+10 ms +sending +on its way +free, window 7 {2}\[two\]$/m);
    expect(text).not.toContain('hello');
  });
});
