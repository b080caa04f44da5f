import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { QuotaReport } from '#contracts';
import {
  call,
  finished,
  inParallel,
  listOf,
  login,
  type MessageAnswer,
  postMessage,
  recordOf,
} from '../../../test/support/client.js';
import type { Stack } from '../../../test/support/stack.js';
import { paced } from './paced.js';
import { startWithProviders } from './start-with-providers.js';
import { sendJson, startStubProvider, type StubProvider } from './stub-provider.js';

/** An API that is unlike the small contract, by the providers file alone. */
const ODD_LIMIT = 5;
const ODD_WINDOW_MS = 2_000;
const ODD_KEY = 'key of the odd/provider';
const SHARED_LIMIT = 10;
const SHARED_WINDOW_MS = 3_000;
const TEXT = { to: '+15551234567', text: 'hello äöü & goodbye' };

let stubs: Record<'odd' | 'carrier' | 'left' | 'right' | 'many' | 'silent' | 'second', StubProvider>;
let stack: Stack;
let gateway: string;
let cookie: string;
let oddRefusals = 0;

const providersFile = (): string => `
currency: USD
channels:
  default: { providers: [second] }
  sms:
    message:
      type: object
      required: [to, text]
      additionalProperties: false
      properties:
        to: { type: string, pattern: '^\\+[1-9][0-9]{6,14}$' }
        text: { type: string, minLength: 1, maxLength: 1600 }
        meta: { type: object }
    providers: [carrier, odd]
  left: { providers: [left, second] }
  right: { providers: [right, second] }
  many: { providers: [many] }
  shared: { providers: [shared-a, shared-b, second] }
  stop: { providers: [silent, second], onNoAnswer: stop }
  next: { providers: [silent, second] }
providers:
  - name: odd
    priceMicros: 0
    method: PUT
    url: '${stubs.odd.origin}/v1/{{ $encodeUrlComponent(message.to) }}/send?key={{ $encodeUrlComponent("\${ODD_KEY}") }}'
    form: { To: '{{ message.to }}', Body: '{{ message.text }}', Tag: [octo, '{{ id }}'], Meta: '{{ message.meta }}' }
    response: 'headers.\`x-message-id\`'
    outcomes:
      - { when: 'status = 200 and body.error = "rate_limited"', outcome: refused, retryAfterMs: 'body.retry_after * 1000' }
    quotas:
      - { name: burst, policy: sliding-window, limit: ${ODD_LIMIT}, windowMs: ${ODD_WINDOW_MS} }
  - name: carrier
    priceMicros: 7900
    cost: 'body.price * 1000000'
    url: ${stubs.carrier.origin}/messages
    headers: { x-message: '{{ id }}/{{ channel }}/{{ account }}' }
    json: { to: '{{ message.to }}', parts: ['{{ message.text }}', 1, true], nested: { meta: '{{ message.meta }}' } }
  - { name: left, priceMicros: 0, url: '${stubs.left.origin}', text: '{{ message }}',
      quota: { policy: count-then-block, limit: 2, blockMs: 1500 } }
  - { name: right, priceMicros: 0, url: '${stubs.right.origin}', text: '{{ message }}',
      quota: { policy: count-then-block, limit: 2, blockMs: 1500 } }
  - name: many
    priceMicros: 0
    url: '${stubs.many.origin}'
    text: '{{ message }}'
    quota: { policy: count-then-block, limit: 2, blockMs: 600000 }
    accounts:
      - { name: one, headers: { authorization: Bearer one } }
      - { name: two, headers: { authorization: Bearer two } }
      - { name: three, headers: { authorization: Bearer three },
          quotas: [{ policy: count-then-block, limit: 1, blockMs: 600000 }] }
  - { name: shared-a, account: pool, priceMicros: 0, url: '${stubs.many.origin}/shared/a', text: '{{ message }}',
      quota: { policy: fixed-window, limit: ${SHARED_LIMIT}, windowMs: ${SHARED_WINDOW_MS} } }
  - { name: shared-b, account: pool, priceMicros: 0, url: '${stubs.many.origin}/shared/b', text: '{{ message }}' }
  - { name: silent, priceMicros: 0, timeoutMs: 300, url: '${stubs.silent.origin}', text: '{{ message }}' }
  - { name: second, priceMicros: 2500, url: '${stubs.second.origin}', text: '{{ message }}' }
`;

beforeAll(async () => {
  const accepted: number[] = [];
  stubs = {
    odd: await startStubProvider(0, (response, { atMs }) => {
      while (accepted[0] !== undefined && accepted[0] <= atMs - ODD_WINDOW_MS) accepted.shift();
      if (accepted.length >= ODD_LIMIT) {
        oddRefusals += 1;
        return sendJson(response, { error: 'rate_limited', retry_after: 2 });
      }
      accepted.push(atMs);
      return response.writeHead(200, { 'x-message-id': randomUUID() }).end('{"queued":true}');
    }),
    carrier: await startStubProvider(0, (response, { body }) => sendJson(response, { price: 0.0083, got: body }, 202)),
    left: await startStubProvider(0, (response) => response.end('left')),
    right: await startStubProvider(0, (response) => response.end('right')),
    many: await startStubProvider(0, (response) => response.end('many')),
    silent: await startStubProvider(0, () => {}),
    second: await startStubProvider(0, (response) => response.end('second')),
  };
  stack = await startWithProviders(providersFile(), { pods: 2, env: { ODD_KEY } });
  gateway = stack.origin.gateway;
  cookie = await login(gateway);
});
afterAll(async () => {
  await stack.stop();
  await Promise.all(Object.values(stubs).map((stub) => stub.stop()));
});

const pod = (index: number): string => stack.gateways[index % 2] ?? gateway;
const send = (channel: string, message: unknown = 'hello', index = 0): Promise<MessageAnswer> =>
  postMessage(pod(index), cookie, { message, channel });
const soon = (ms: number): string => new Date(Date.now() + ms).toISOString();

describe('a provider with PUT, a form, a key in its URL, errors inside 200 and its message id in a header', () => {
  it('is used up to its sliding window in price order, and never refuses', async () => {
    const answers = await paced({ count: 60, everyMs: 100 }, (index) => send('sms', TEXT, index));
    expect(answers.filter(({ status }) => status !== 200)).toEqual([]);
    expect(oddRefusals).toBe(0);
    const free = answers.filter(({ body }) => body.provider === 'odd');
    // 6 s have at least two whole windows.
    expect(free.length).toBeGreaterThanOrEqual(3 * ODD_LIMIT - 1);
    expect(answers.slice(0, ODD_LIMIT).map(({ body }) => body.provider)).toContain('odd');
    const paid = answers.filter(({ body }) => body.provider === 'carrier');
    // The true cost is in the answer.
    expect(new Set(paid.map(({ body }) => body.costMicros))).toEqual(new Set([8_300]));
    expect(free.length + paid.length).toBe(60);
    for (const { body } of free)
      expect(body).toMatchObject({ costMicros: 0, response: expect.stringMatching(/^[0-9a-f-]{36}$/) });
  });

  it('gets its request as the templates say', () => {
    const [request] = stubs.odd.requests;
    expect(request).toMatchObject({
      method: 'PUT',
      path: `/v1/%2B15551234567/send?key=${encodeURIComponent(ODD_KEY)}`,
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
    });
    expect(request?.headers).not.toHaveProperty('idempotency-key');
    const form = new URLSearchParams(request?.body);
    expect(form.get('To')).toBe(TEXT.to);
    expect(form.get('Body')).toBe(TEXT.text);
    expect(form.getAll('Tag')).toEqual(['octo', expect.stringMatching(/^[0-9a-f-]{36}$/)]);
    // The message has no `meta`.
    expect(form.has('Meta')).toBe(false);
  });

  it('leaves JSON templates their types, and members without a value out', () => {
    const [request] = stubs.carrier.requests;
    expect(JSON.parse(request?.body ?? '')).toEqual({ to: TEXT.to, parts: [TEXT.text, 1, true], nested: {} });
    expect(request?.headers['x-message']).toMatch(/^[0-9a-f-]{36}\/sms\/carrier$/);
  });
});

describe('a channel with a schema', () => {
  it('refuses a message with every error at its JSON pointer', async () => {
    const { status, body } = await send('sms', { to: '0123', extra: 1, 'a/b': 2 });
    expect({ status, code: body.code }).toEqual({ status: 400, code: 'invalid_message' });
    expect(body.errors?.map(({ pointer }) => pointer).toSorted()).toEqual([
      '/message/a~1b',
      '/message/extra',
      '/message/text',
      '/message/to',
    ]);
  });

  it('refuses text, and a channel without one refuses JSON', async () => {
    expect(await send('sms', 'hello')).toMatchObject({ status: 400, body: { errors: [{ pointer: '/message' }] } });
    expect(await send('left', { a: 1 })).toMatchObject({ status: 400, body: { errors: [{ pointer: '/message' }] } });
  });

  it('has JSON as message and response in answer and record, and its name in the list', async () => {
    const message = { ...TEXT, meta: { deep: [1, null, { ok: true }] } };
    const { body } = await untilPaid(message);
    const response = { price: 0.0083, got: expect.stringContaining('"deep":[1,null,{"ok":true}]') };
    expect(body).toMatchObject({ channel: 'sms', provider: 'carrier', account: 'carrier', response });
    const record = await recordOf(pod(1), cookie, body.id ?? '');
    expect(record.body).toMatchObject({ channel: 'sms', message, response, costMicros: 8_300, account: 'carrier' });
    const list = await listOf(pod(1), cookie, 'channel=sms&provider=carrier&limit=1');
    expect(list.body.items).toMatchObject([{ id: body.id, channel: 'sms' }]);
    const events = await call<string>(`${gateway}/messages/${body.id}/events`, { headers: { cookie } });
    expect(events.body).toContain('event: delivered');
  });

  it('recognizes a repeated message whose members are in another order, and another one with the same key', async () => {
    const key = { 'idempotency-key': randomUUID() };
    const post = (message: unknown, index: number) => postMessage(pod(index), cookie, { channel: 'sms', message }, key);
    const first = await post({ to: TEXT.to, text: 'once', meta: { a: 1, b: 2 } }, 0);
    const again = await post({ meta: { b: 2.0, a: 1 }, text: 'once', to: TEXT.to }, 1);
    expect({ first: first.status, again: again.status, id: again.body.id }).toEqual({
      first: 200,
      again: 200,
      id: first.body.id,
    });
    expect(again.body.response).toEqual(first.body.response);
    expect(await post({ to: TEXT.to, text: 'once', meta: { a: 1, b: 3 } }, 0)).toMatchObject({
      status: 422,
      body: { code: 'idempotency_key_reused' },
    });
  });
});

/** Uses up the window of the free provider. */
async function untilPaid(message: unknown): Promise<MessageAnswer> {
  const answers = await inParallel(2 * ODD_LIMIT, 2, () => send('sms', message));
  const paid = answers.find(({ body }) => body.provider === 'carrier');
  if (paid === undefined) throw new Error('no message was paid for');
  return paid;
}

describe('a channel', () => {
  it('that does not exist is answered 400, and one that is not named is "default"', async () => {
    expect(await send('pigeon')).toMatchObject({
      status: 400,
      body: { code: 'unknown_channel', errors: [{ pointer: '/channel' }] },
    });
    expect(await postMessage(gateway, cookie, { message: 'a' })).toMatchObject({
      status: 200,
      body: { channel: 'default', provider: 'second', response: 'second' },
    });
  });

  it('keeps its waiting messages from the providers of another channel', async () => {
    const accepted = await inParallel(12, 4, (index) =>
      postMessage(
        pod(index),
        cookie,
        { message: 'left', channel: 'left', deliverBy: soon(60_000), paid: 'never' },
        { prefer: 'respond-async' },
      ),
    );
    expect(accepted.filter(({ status }) => status !== 202)).toEqual([]);
    const records = await inParallel(12, 4, (index) =>
      finished(gateway, cookie, accepted[index]?.body.id ?? '', 60_000),
    );
    expect(new Set(records.map(({ status, provider }) => `${status} by ${provider}`))).toEqual(
      new Set(['delivered by left']),
    );
    expect(stubs.right.requests).toEqual([]);
    expect(stubs.left.requests.map(({ body }) => body)).toEqual(Array.from({ length: 12 }, () => 'left'));
  });

  it('with `onNoAnswer: stop` answers 504 and asks no second provider; otherwise the next one gets the message', async () => {
    const before = stubs.second.requests.length;
    expect(await send('stop')).toMatchObject({
      status: 504,
      body: { code: 'provider_timeout', attempts: [{ provider: 'silent', outcome: 'unknown' }] },
    });
    expect(stubs.second.requests).toHaveLength(before);
    expect(await send('next')).toMatchObject({ status: 200, body: { provider: 'second' } });
  });
});

describe('accounts', () => {
  it('of one provider are used one after the other, each up to its own quota', async () => {
    const answers = await inParallel(6, 1, (index) => send('many', 'hello', index));
    expect(answers.map(({ body }) => body.account ?? body.code)).toEqual([
      'many/one',
      'many/one',
      'many/two',
      'many/two',
      'many/three',
      'paid_access_required',
    ]);
    const own = stubs.many.requests.filter(({ path }) => path === '/');
    expect(own.map(({ headers }) => headers.authorization)).toEqual([
      'Bearer one',
      'Bearer one',
      'Bearer two',
      'Bearer two',
      'Bearer three',
    ]);
    const { body } = await call<QuotaReport>(`${gateway}/quota`, { headers: { cookie } });
    expect(body.providers.filter(({ name }) => name === 'many')).toMatchObject([
      { account: 'many/one', limit: 2, state: 'blocked' },
      { account: 'many/two', limit: 2, state: 'blocked' },
      { account: 'many/three', limit: 1, state: 'blocked' },
    ]);
    const record = await recordOf(gateway, cookie, answers[4]?.body.id ?? '');
    expect(record.body).toMatchObject({ provider: 'many', account: 'many/three' });
  });

  it('that two providers share give both together no more than their quota, over three windows and two pods', async () => {
    const bursts = await paced({ count: 4, everyMs: SHARED_WINDOW_MS + 200 }, () =>
      inParallel(30, 30, (index) => send('shared', 'hello', index)),
    );
    expect(bursts.flat().filter(({ status }) => status !== 200)).toEqual([]);
    const arrivals = stubs.many.requests.filter(({ path }) => path?.startsWith('/shared/')).map(({ atMs }) => atMs);
    expect(arrivals.length).toBeGreaterThanOrEqual(3 * SHARED_LIMIT);
    // The provider's window begins with the first request that it accepts after the one before.
    const perWindow = windowsOf(arrivals);
    expect(perWindow.filter((count) => count > SHARED_LIMIT)).toEqual([]);
  });
});

function windowsOf(arrivals: readonly number[]): number[] {
  const counts: number[] = [];
  let startMs = -Infinity;
  for (const atMs of arrivals) {
    if (atMs >= startMs + SHARED_WINDOW_MS) {
      startMs = atMs;
      counts.push(0);
    }
    counts.push((counts.pop() ?? 0) + 1);
  }
  return counts;
}
