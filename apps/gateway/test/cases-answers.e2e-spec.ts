import type { ServerResponse } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { call, inParallel, login, type MessageAnswer, postMessage, recordOf } from '../../../test/support/client.js';
import type { Stack } from '../../../test/support/stack.js';
import { waitUntil } from '../../../tools/stack/wait-until.js';
import { paced, passed } from './paced.js';
import { quotaOf } from './quota-of.js';
import { startWithProviders } from './start-with-providers.js';
import { deliver, sendJson, startStubProvider, type StubProvider } from './stub-provider.js';

/** Situations that users of rate-limited providers reported: what answers and failures must lead to. */
let stack: Stack;
let gateway: string;
let cookie: string;
let freeOnly: string;
const stubs: Record<string, StubProvider> = {};

type Respond = (response: ServerResponse, times: number) => unknown;

const inWindow = (limit: number, windowMs: number) => ({ quota: { policy: 'fixed-window', limit, windowMs } });
const RATE_LIMITED = { ok: false, error: 'rate_limited', retry_after: 20 };
const REJECTION = { error: 'recipient is not a phone number' };
const RETRY_DELAY = { error: { details: [{ retryDelay: '8.4s' }] } };
const RETRY_AFTER = { parameters: { retry_after: 8.4 } };
const refusedFor = (retryAfterMs: string, when = 'status = 429') => ({
  outcomes: [{ when, outcome: 'refused', retryAfterMs }],
});

const refused = (body: unknown) => (response: ServerResponse) => sendJson(response, body, 429);
const rateLimitedAfterThree: Respond = (response, times) =>
  times <= 3 ? sendJson(response, { ok: true, response: 'a' }) : sendJson(response, RATE_LIMITED);

/** Free providers by name: their fields in the providers file, and what they answer the n-th time. */
const FREE: Record<string, [fields: object, respond: Respond]> = {
  banning: [inWindow(20, 60_000), leftAloneFor(5_000)],
  'dead-key': [inWindow(50, 10_000), (response) => setTimeout(() => response.writeHead(401).end(), 300)],
  'error-in-200': [
    { ...inWindow(100, 60_000), ...refusedFor('body.retry_after * 1000', 'body.ok = false') },
    rateLimitedAfterThree,
  ],
  'error-in-200-unknown': [inWindow(100, 60_000), rateLimitedAfterThree],
  'used-up': [{ quota: { policy: 'count-then-block', limit: 1, blockMs: 600_000 } }, (response) => deliver(response)],
  picky: [inWindow(100, 60_000), (response) => sendJson(response, REJECTION, 422)],
  'delay-text': [
    { ...inWindow(1_000, 60_000), ...refusedFor("$number($replace(body.error.details.retryDelay, 's', '')) * 1000") },
    refused(RETRY_DELAY),
  ],
  'delay-number': [refusedFor('body.parameters.retry_after * 1000'), refused(RETRY_AFTER)],
  420: [inWindow(100, 60_000), (response) => response.writeHead(420, { 'retry-after': '30' }).end()],
  'wait-as-date': [
    inWindow(100, 60_000),
    (response) => response.writeHead(503, { 'retry-after': new Date(Date.now() + 30_000).toUTCString() }).end(),
  ],
  // No Retry-After: nothing remains until the reset, in seconds since 1970.
  'wait-as-reset': [
    inWindow(100, 60_000),
    (response) => {
      const reset = String(Math.ceil(Date.now() / 1_000) + 30);
      response.writeHead(403, { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': reset }).end();
    },
  ],
  'wait-as-text': [
    { ...inWindow(100, 60_000), ...refusedFor('body.wait_ms', 'status = 500') },
    (response) => sendJson(response, { wait_ms: '30000' }, 500),
  ],
  'dead-key-in-200': [
    { outcomes: [{ when: 'body.error = "invalid_auth"', outcome: 'unauthorized' }] },
    (response) => sendJson(response, { ok: false, error: 'invalid_auth' }),
  ],
  'picky-in-200': [
    { outcomes: [{ when: 'body.ok = false', outcome: 'rejected' }] },
    (response) => sendJson(response, { ok: false, description: REJECTION.error }),
  ],
  503: [inWindow(100, 60_000), (response) => response.writeHead(503, { 'retry-after': '30' }).end()],
  529: [{}, (response) => response.writeHead(529, { 'retry-after': '30' }).end()],
  402: [inWindow(100, 60_000), (response) => response.writeHead(402).end()],
  403: [inWindow(100, 60_000), (response) => sendJson(response, { message: 'suspended' }, 403)],
  407: [{}, (response) => response.writeHead(407).end()],
};
const CHANNELS = {
  'picky-next': { providers: ['picky', 'paid'], onRejected: 'next' },
  stingy: { providers: ['used-up', 'stingy'] },
  status: { providers: ['status'] },
};

beforeAll(async () => {
  for (const [name, [, respond]] of Object.entries(FREE)) {
    stubs[name] = await startStubProvider(0, (response) => respond(response, requestsTo(name).length));
  }
  stubs['paid'] = await startStubProvider();
  stubs['stingy'] = await startStubProvider(0, (response) => response.writeHead(429, { 'retry-after': '0' }).end());
  stubs['status'] = await startStubProvider(0, (response, { path }) =>
    response.writeHead(Number(path?.slice(1)), { location: '/200' }).end('in its own words'),
  );
  const provider = (name: string, fields: object) => ({ name, url: `${stubs[name]?.origin}/send`, ...fields });
  const free = Object.entries(FREE).map(([name, [fields]]) =>
    provider(name, { priceMicros: 0, timeoutMs: 60_000, ...fields }),
  );
  // Long: a busy machine must not look like a slow provider.
  const paid = ['paid', 'stingy'].map((name) => provider(name, { priceMicros: 2_500, timeoutMs: 60_000 }));
  const status = provider('status', {
    priceMicros: 0,
    url: `${stubs['status']?.origin}/{{ message }}`,
    text: 'constant',
  });
  const channels = Object.fromEntries(Object.keys(FREE).map((name) => [name, { providers: [name, 'paid'] }]));
  stack = await startWithProviders(
    // JSON is YAML.
    JSON.stringify({
      currency: 'USD',
      channels: { ...channels, ...CHANNELS },
      providers: [...free, ...paid, status],
    }),
  );
  gateway = stack.origin.gateway;
  [cookie, freeOnly] = await Promise.all([login(gateway), login(gateway, 'free@octo.local')]);
  // The first messages of a process take longer.
  await inParallel(50, 5, () => postMessage(gateway, cookie, { message: '200', channel: 'status' }));
  stubs['status']?.requests.splice(0);
});
afterAll(async () => {
  await stack.stop();
  await Promise.all(Object.values(stubs).map((stub) => stub.stop()));
});

/** Answers three times; then refuses until no request has come for this long. */
function leftAloneFor(ms: number): Respond {
  let lastMs = -Infinity;
  let isOver = false;
  return (response, times) => {
    const pauseMs = performance.now() - lastMs;
    lastMs = performance.now();
    isOver ||= times > 3 && pauseMs >= ms;
    if (times <= 3 || isOver) return deliver(response);
    return response.writeHead(403, { 'retry-after': String(ms / 1_000) }).end();
  };
}

function requestsTo(name: string): StubProvider['requests'] {
  return stubs[name]?.requests ?? [];
}

const send = (channel: string, as = cookie): Promise<MessageAnswer> =>
  postMessage(gateway, as, { message: 'hello', channel });

const providersOf = (answers: MessageAnswer[]) => answers.map(({ body }) => body.provider);
const gapsOf = (requests: StubProvider['requests']): number[] =>
  requests.slice(1).map(({ atMs }, index) => atMs - (requests[index]?.atMs ?? 0));

async function metricOf(account: string): Promise<string | undefined> {
  const { body } = await call<string>(`${gateway}/metrics`);
  return body.split('\n').find((line) => line.startsWith(`octo_account_paused{account="${account}"}`));
}

describe('a provider', () => {
  it.concurrent(
    'that refuses with 403 and a wait gets one refusal, nothing for the wait, and then messages',
    async () => {
      const answers = await paced({ count: 50, everyMs: 400 }, () => send('banning'));
      expect(answers.filter(({ status }) => status !== 200)).toEqual([]);
      const attempts = answers.flatMap(({ body }) => body.attempts ?? []);
      expect(attempts.filter(({ outcome }) => outcome !== 'delivered')).toMatchObject([
        { provider: 'banning', outcome: 'refused', httpStatus: 403 },
      ]);
      expect(gapsOf(requestsTo('banning'))[3]).toBeGreaterThanOrEqual(5_000);
      // Paid for 5 s; then what is left of the quota.
      const again = providersOf(answers).lastIndexOf('banning');
      expect(again).toBeGreaterThan(20);
      expect(providersOf(answers).slice(3, 15)).toEqual(Array.from({ length: 12 }, () => 'paid'));
    },
  );

  it.concurrent(
    'whose key is dead gets at most 12 of 200 messages and is paused, with one warning and a metric',
    async () => {
      const answers = await paced({ count: 200, everyMs: 200 }, () => send('dead-key'));
      expect(answers.filter(({ body }) => body.provider !== 'paid')).toEqual([]);
      expect(requestsTo('dead-key').length).toBeLessThanOrEqual(12);
      expect(await quotaOf(gateway, cookie, 'dead-key')).toMatchObject({
        state: 'paused',
        reason: 'HTTP 401',
        used: 0,
        reopensAt: expect.any(String),
      });
      expect(await metricOf('dead-key')).toMatch(/ 1$/);
      const ofAccount = stack.log.filter(({ account }) => account === 'dead-key');
      expect(ofAccount).toMatchObject([{ level: 'warn', event: 'provider account paused', status: 401 }]);
    },
  );

  it.concurrent('that refuses inside a 200 is left alone for the wait that its outcome rule reads', async () => {
    const answers = await paced({ count: 30, everyMs: 900 }, () => send('error-in-200'));
    expect(providersOf(answers).slice(0, 5)).toEqual(['error-in-200', 'error-in-200', 'error-in-200', 'paid', 'paid']);
    expect(answers[3]?.body.attempts).toMatchObject([
      { outcome: 'refused', httpStatus: 200 },
      { outcome: 'delivered' },
    ]);
    expect(gapsOf(requestsTo('error-in-200')).filter((gapMs) => gapMs > 3_000 && gapMs < 20_000)).toEqual([]);
    expect(Math.max(...gapsOf(requestsTo('error-in-200')))).toBeGreaterThanOrEqual(20_000);
  });

  it.concurrent(
    'that refuses inside a 200 without an outcome rule fails, and is paused after a few failures',
    async () => {
      const answers = await inParallel(30, 1, () => send('error-in-200-unknown'));
      expect(answers.filter(({ status }) => status !== 200)).toEqual([]);
      const failed = answers.flatMap(({ body }) => body.attempts ?? []).filter(({ outcome }) => outcome === 'failed');
      expect(failed.length).toBeGreaterThanOrEqual(5);
      expect(failed.length).toBeLessThanOrEqual(8);
      expect(failed[0]).toMatchObject({ httpStatus: 200, reason: 'answer lacks ok: true' });
      expect(await quotaOf(gateway, cookie, 'error-in-200-unknown')).toMatchObject({ state: 'paused' });
    },
  );

  it.concurrent(
    'that says "Retry-After: 0" for ever gets fewer than 8 requests in 5 s, with pauses that do not shrink',
    async () => {
      await send('used-up');
      const body = { message: 'hello', channel: 'stingy' };
      const accepted = await postMessage(gateway, cookie, body, { prefer: 'respond-async' });
      expect(accepted.status).toBe(202);
      await passed(performance.now() + 5_000);
      const requests = [...requestsTo('stingy')];
      expect(requests.length).toBeGreaterThan(1);
      expect(requests.length).toBeLessThan(8);
      const gaps = gapsOf(requests);
      // Pauses are spread by 10 % up and down.
      expect(gaps.filter((gapMs, index) => gapMs < 0.8 * (gaps[index - 1] ?? 500))).toEqual([]);
      const record = await recordOf(gateway, cookie, accepted.body.id ?? '');
      expect(record.body.hops.length).toBeLessThan(40);
    },
  );

  it.concurrent.each(['delay-text', 'delay-number'])(
    'whose 429 has its wait in the body gets nothing for that long (%s)',
    async (name) => {
      const bursts = await paced({ count: 30, everyMs: 1_000 }, () =>
        Promise.all([1, 2, 3, 4, 5].map(() => send(name))),
      );
      expect(bursts.flat().filter(({ body }) => body.provider !== 'paid')).toEqual([]);
      // Five at once are on their way before the first refusal arrives. A busy machine spreads them over seconds.
      const requests = requestsTo(name);
      const gaps = gapsOf(requests).filter((gapMs) => gapMs > 4_000);
      expect(gaps.length).toBeGreaterThan(0);
      expect(gaps.filter((gapMs) => gapMs < 8_400)).toEqual([]);
      // Four bursts fit into 30 s.
      expect(requests.length).toBeLessThanOrEqual(25);
    },
  );
});

describe('a message that its provider calls wrong', () => {
  it('is answered 422 with the words of the provider, and goes to no other one', async () => {
    const before = requestsTo('paid').length;
    const answer = await send('picky');
    expect(answer).toMatchObject({
      status: 422,
      body: {
        code: 'message_rejected',
        detail: REJECTION.error,
        attempts: [{ provider: 'picky', outcome: 'rejected', httpStatus: 422 }],
      },
    });
    expect(requestsTo('paid').length).toBe(before);
    const record = await recordOf(gateway, cookie, answer.body.id ?? '');
    expect(record.body).toMatchObject({ status: 'failed', reason: 'message_rejected', detail: REJECTION.error });
  });

  it('goes to the next provider with `onRejected: next`', async () => {
    expect(await send('picky-next')).toMatchObject({
      status: 200,
      body: { provider: 'paid', attempts: [{ outcome: 'rejected' }, { outcome: 'delivered' }] },
    });
  });

  it.each([400, 405, 406, 409, 410, 411, 413, 414, 415, 422])('with status %d is answered 422', async (status) => {
    const answer = await postMessage(gateway, cookie, { message: String(status), channel: 'status' });
    expect(answer).toMatchObject({ status: 422, body: { code: 'message_rejected', detail: 'in its own words' } });
  });
});

describe('a status', () => {
  it.each([
    ['420', 420],
    ['503', 503],
    ['529', 529],
    ['wait-as-date', 503],
    ['wait-as-reset', 403],
    ['wait-as-text', 500],
  ])(
    'that names a wait is a refusal: the message is paid for, and the provider left alone (%s)',
    async (name, httpStatus) => {
      const answers = await inParallel(4, 1, () => send(name));
      expect(providersOf(answers)).toEqual(['paid', 'paid', 'paid', 'paid']);
      expect(answers[0]?.body.attempts).toMatchObject([{ outcome: 'refused', httpStatus }, {}]);
      expect(requestsTo(name)).toHaveLength(1);
      const { reopensAt } = await quotaOf(gateway, cookie, name);
      expect(Date.parse(reopensAt ?? '') - Date.now()).toBeGreaterThan(20_000);
    },
  );

  it('200 with a dead key in its body, and a rule for it, pauses the account at once', async () => {
    const first = await send('dead-key-in-200');
    expect(first.body).toMatchObject({ provider: 'paid', attempts: [{ outcome: 'failed', httpStatus: 200 }, {}] });
    expect((await send('dead-key-in-200')).body).toMatchObject({ provider: 'paid', attempts: [{ provider: 'paid' }] });
    expect(await quotaOf(gateway, cookie, 'dead-key-in-200')).toMatchObject({ state: 'paused', reason: 'HTTP 200' });
  });

  it('200 with a rejection in its body, and a rule for it, is answered 422 with the words of the provider', async () => {
    expect(await send('picky-in-200')).toMatchObject({
      status: 422,
      body: { code: 'message_rejected', detail: REJECTION.error, attempts: [{ outcome: 'rejected', httpStatus: 200 }] },
    });
  });

  it.each([402, 403, 407])('%d without a wait pauses the account at once, and counts nothing', async (status) => {
    const name = String(status);
    const first = await send(name);
    expect(first.body).toMatchObject({ provider: 'paid', attempts: [{ outcome: 'failed', httpStatus: status }, {}] });
    expect((await send(name)).body).toMatchObject({ provider: 'paid', attempts: [{ provider: 'paid' }] });
    expect(requestsTo(name)).toHaveLength(1);
    await waitUntil(async () => ((await quotaOf(gateway, cookie, name)).used ?? 0) === 0, { what: 'nothing counted' });
    expect(await quotaOf(gateway, cookie, name)).toMatchObject({ state: 'paused', reason: `HTTP ${status}` });
  });

  it.each([301, 302, 307, 308])('%d fails, as redirects are not followed', async (status) => {
    const answer = await postMessage(gateway, freeOnly, { message: String(status), channel: 'status' });
    expect(answer).toMatchObject({
      status: 502,
      body: { attempts: [{ outcome: 'failed', reason: `HTTP ${status}: redirects are not followed` }] },
    });
    expect(requestsTo('status').map(({ path }) => path)).not.toContain('/200');
  });
});
