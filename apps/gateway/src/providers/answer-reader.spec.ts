import { describe, expect, it } from '@jest/globals';
import { announcementReader } from '#quota';
import { type AnswerSource, compileAnswer } from './answer-reader.js';

const source = (but: Partial<AnswerSource>): AnswerSource => ({
  isSmallContract: false,
  response: undefined,
  cost: undefined,
  outcomes: [],
  redact: (text) => text.replaceAll('key-of-octo', '***'),
  ...but,
});
const read = async (but: Partial<AnswerSource>, status: number, body: unknown, headers = {}) =>
  compileAnswer(source(but))(
    status,
    { headers, text: typeof body === 'string' ? body : JSON.stringify(body) },
    announcementReader([]),
  );

describe('an answer of the small contract', () => {
  const small = { isSmallContract: true };

  it('is delivered with its response', async () => {
    expect(await read(small, 200, { ok: true, response: 'olleh' })).toMatchObject({
      outcome: 'delivered',
      response: 'olleh',
    });
  });

  it.each([
    [{ ok: false, error: 'rate_limited' }, 'answer lacks ok: true'],
    [{ ok: true }, 'answer lacks a response text'],
    ['<html>', 'answer is no JSON object'],
  ])('fails without %j, and counts', async (body, reason) => {
    expect(await read(small, 200, body)).toMatchObject({
      outcome: 'failed',
      reason,
      settlement: { outcome: 'accepted' },
    });
  });
});

describe('an answer', () => {
  it('gives its whole body, or what "response" names', async () => {
    expect(await read({}, 202, { id: 7 })).toMatchObject({ outcome: 'delivered', response: { id: 7 } });
    const response = 'headers.`x-message-id` & "/" & body.id';
    const answer = await read({ response }, 202, { id: 7 }, { 'x-message-id': 'abc' });
    expect(answer).toMatchObject({ outcome: 'delivered', response: 'abc/7' });
    expect(await read({ response: 'body.none' }, 200, {})).toMatchObject({ outcome: 'failed' });
  });

  it('is read by the first rule that matches, with the wait it names', async () => {
    const outcomes: AnswerSource['outcomes'] = [
      { when: 'body.ok = false', outcome: 'refused', retryAfterMs: 'body.retry_after * 1000' },
      { when: 'status = 200', outcome: 'failed' },
    ];
    expect(await read({ outcomes }, 200, { ok: false, retry_after: 20 })).toMatchObject({
      outcome: 'refused',
      settlement: { outcome: 'refused', announced: { retryAfterMs: 20_000 } },
    });
    expect(await read({ outcomes }, 200, { ok: true })).toMatchObject({ outcome: 'failed' });
  });

  it('has the true cost, where the answer says one', async () => {
    const cost = 'body.price * 1000000';
    expect(await read({ cost }, 200, { price: 0.0079 })).toMatchObject({ costMicros: 7_900 });
    expect(await read({ cost }, 200, { price: 'free' })).toMatchObject({ outcome: 'failed' });
    expect(await read({ cost }, 200, {})).toMatchObject({ outcome: 'delivered', costMicros: undefined });
  });

  it('fails with the reason when an expression throws', async () => {
    const answer = await read({ response: '$number(body.x)' }, 200, { x: 'a' });
    expect(answer).toMatchObject({ outcome: 'failed', reason: expect.stringContaining('$number(body.x)') });
  });

  it.each([
    [{ error: 'recipient is not a phone number' }, 'recipient is not a phone number'],
    [{ error: { message: 'no such user' } }, 'no such user'],
    [{ message: 'bad' }, 'bad'],
    [{ errors: [{ message: 'first' }, { message: 'second' }] }, 'first'],
    ['plain words\u0000', 'plain words'],
    ['x'.repeat(5_000), 'x'.repeat(500)],
    [`${'x'.repeat(499)}😀`, `${'x'.repeat(499)}\ufffd`],
    ['no such key: key-of-octo', 'no such key: ***'],
    ['', 'The provider gave no explanation.'],
  ])('that rejects the message explains it: %j', async (body, detail) => {
    expect(await read({}, 422, body)).toMatchObject({
      outcome: 'rejected',
      detail,
      settlement: { outcome: 'unknown' },
    });
  });

  it('that names no account right is not counted', async () => {
    expect(await read({}, 401, '')).toMatchObject({ outcome: 'unauthorized', settlement: { outcome: 'notSent' } });
  });

  it('that redirects fails and says so', async () => {
    const reason = 'HTTP 302: redirects are not followed';
    expect(await read({}, 302, '', { location: '/' })).toMatchObject({ outcome: 'failed', reason });
  });

  it('that refuses with a wait refuses, with any of the statuses in use', async () => {
    expect(await read({}, 403, '', { 'retry-after': '5' })).toMatchObject({
      outcome: 'refused',
      settlement: { announced: { retryAfterMs: 5_000 } },
    });
  });
});
