import { afterEach, describe, expect, it } from '@jest/globals';
import { NestFactory } from '@nestjs/core';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import {
  acceptedRequestsSchema,
  type Faults,
  faultsSchema,
  MESSAGE_BODY_MAX_BYTES,
  MESSAGE_MAX_BYTES,
  problemSchema,
  type ProviderStats,
  providerStatsSchema,
} from '#contracts';
import { type BodyProblems, createAdapter, DEFAULT_HTTP, ProblemFilter } from '#service';
import { type Admission, ReferenceProviderModule, type ReferenceProviderOptions } from './index.js';

/** A quota of `limit` requests that never reopens. */
function firstFew(limit = Infinity): Admission {
  let stats: ProviderStats = { accepted: 0, refused: 0, windows: [] };
  return {
    decide() {
      if (stats.accepted >= limit) {
        stats = { ...stats, refused: stats.refused + 1 };
        return { accepted: false, retryAfterMs: 1_001 };
      }
      stats = { ...stats, accepted: stats.accepted + 1 };
      return { accepted: true };
    },
    headers: () => ({ 'x-left': String(limit - stats.accepted) }),
    stats: () => stats,
    resetStats() {
      stats = { accepted: 0, refused: 0, windows: [] };
    },
  };
}

const started: NestFastifyApplication[] = [];
afterEach(async () => {
  await Promise.all(started.splice(0).map((app) => app.close()));
});

/** A provider as an app runs it, on a free port. */
async function startProvider(admission: Admission = firstFew(), options: ReferenceProviderOptions = {}) {
  const bodyProblems: BodyProblems = { invalid: 'invalid_request', tooLarge: 'payload_too_large' };
  const app = await NestFactory.create<NestFastifyApplication>(
    ReferenceProviderModule.with(admission, options),
    createAdapter({ ...DEFAULT_HTTP, bodyLimitBytes: MESSAGE_BODY_MAX_BYTES, bodyProblems }),
    { logger: false, bodyParser: false },
  );
  started.push(app);
  app.useGlobalFilters(new ProblemFilter(bodyProblems));
  await app.listen(0, '127.0.0.1');
  return clientOf(await app.getUrl());
}

function clientOf(url: string) {
  const call = (method: string, path: string, body?: unknown, headers: Record<string, string> = {}) =>
    fetch(url + path, {
      method,
      headers: { ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
      ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
  return {
    call,
    send: (message: string, headers: Record<string, string> = {}) => call('POST', '/messages', { message }, headers),
    setFaults: (faults: Partial<Faults>) => call('PUT', '/faults', faults),
    faults: async () => faultsSchema.parse(await (await call('GET', '/faults')).json()),
    stats: async () => providerStatsSchema.parse(await (await call('GET', '/stats')).json()),
  };
}

async function problemOf(response: Response) {
  expect(response.headers.get('content-type')).toMatch(/^application\/problem\+json\b/);
  return problemSchema.parse(await response.json());
}

/** Whether the connection was closed without an answer. */
const isCutOff = (response: Promise<Response>) =>
  response.then(
    () => false,
    (error: Error) => error.message === 'fetch failed',
  );

describe('POST /messages', () => {
  it('answers the reversed text with the headers of the quota', async () => {
    const provider = await startProvider(firstFew(3));
    const response = await provider.send('a👨‍👩‍👧e\u0301🇩🇪');
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toContain('application/json');
    expect(response.headers.get('x-left')).toBe('2');
    expect(await response.json()).toEqual({ ok: true, response: '🇩🇪e\u0301👨‍👩‍👧a' });
  });

  it('refuses by 429 with Retry-After in seconds, rounded up, and the headers of the quota', async () => {
    const provider = await startProvider(firstFew(0));
    const response = await provider.send('hello');
    expect(response.status).toBe(429);
    expect(response.headers.get('retry-after')).toBe('2');
    expect(response.headers.get('x-left')).toBe('0');
    expect(await problemOf(response)).toMatchObject({ code: 'quota_exceeded', status: 429 });
  });

  it('decides by a clock that does not follow the wall clock', async () => {
    const seen: number[] = [];
    const admission: Admission = {
      ...firstFew(),
      decide(nowMs) {
        seen.push(nowMs);
        return { accepted: true };
      },
    };
    const provider = await startProvider(admission);
    const wallClock = Date.now;
    const startedMs = wallClock();
    await provider.send('before');
    Date.now = () => wallClock() - 3_600_000;
    await provider.send('after').finally(() => (Date.now = wallClock));
    const [before = 0, after = 0] = seen;
    expect(Math.abs(before - startedMs)).toBeLessThan(60_000);
    expect(after).toBeGreaterThan(before);
  });

  it('accepts a message of the maximum length, even if JSON escapes make it longer', async () => {
    const provider = await startProvider();
    const longest = `${'é'.repeat(MESSAGE_MAX_BYTES / 4)}${'\n'.repeat(MESSAGE_MAX_BYTES / 2)}`;
    const response = await provider.send(longest);
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual({ ok: true, response: longest.split('').toReversed().join('') });
  });

  it.each([
    ['an unknown field', { message: 'hi', massage: 'hi' }, '/massage'],
    ['a missing message', {}, '/message'],
    ['a message that is not a string', { message: 7 }, '/message'],
    ['an empty message', { message: '' }, '/message'],
  ])('answers 400 to %s, names the field and counts nothing', async (_what, body, pointer) => {
    const provider = await startProvider();
    const response = await provider.call('POST', '/messages', body);
    expect(response.status).toBe(400);
    expect(await problemOf(response)).toMatchObject({ code: 'invalid_request', errors: [{ pointer }] });
    expect(await provider.stats()).toMatchObject({ accepted: 0, refused: 0 });
  });

  it('answers 413 to a message that is one byte too long, and counts nothing', async () => {
    const provider = await startProvider();
    const response = await provider.send('x'.repeat(MESSAGE_MAX_BYTES + 1));
    expect(response.status).toBe(413);
    expect(await problemOf(response)).toMatchObject({ code: 'message_too_large', errors: [{ pointer: '/message' }] });
    expect(await provider.stats()).toMatchObject({ accepted: 0, refused: 0 });
  });

  it.each([
    ['malformed JSON', '{"message":'],
    ['no body', ''],
  ])('answers 400 to %s', async (_what, body) => {
    const provider = await startProvider();
    const response = await provider.call('POST', '/messages', body);
    expect(response.status).toBe(400);
    expect(await problemOf(response)).toMatchObject({ code: 'invalid_request' });
  });

  it('answers 415 to a body whose media type is not JSON', async () => {
    const provider = await startProvider();
    const response = await provider.send('hello', { 'content-type': 'text/plain' });
    expect(response.status).toBe(415);
    expect(await problemOf(response)).toMatchObject({ code: 'unsupported_media_type' });
  });
});

describe('Idempotency-Key', () => {
  const key = { 'idempotency-key': 'order-1' };

  it('answers a repeat with the first answer and counts nothing', async () => {
    const provider = await startProvider(firstFew(1));
    await provider.send('first', key);
    const repeat = await provider.send('second', key);
    expect(repeat.status).toBe(200);
    expect(await repeat.json()).toEqual({ ok: true, response: 'tsrif' });
    expect(repeat.headers.get('x-left')).toBe('0');
    expect(await provider.stats()).toMatchObject({ accepted: 1, refused: 0 });
  });

  it('counts concurrent requests with the same key once', async () => {
    const provider = await startProvider();
    await provider.setFaults({ latencyMs: 50 });
    const responses = await Promise.all(Array.from({ length: 20 }, () => provider.send('hello', key)));
    const answers = await Promise.all(responses.map((response) => response.json()));
    expect(new Set(answers.map((answer) => JSON.stringify(answer)))).toEqual(
      new Set(['{"ok":true,"response":"olleh"}']),
    );
    expect(await provider.stats()).toMatchObject({ accepted: 1 });
  });

  it('counts each request with a different key or without one', async () => {
    const provider = await startProvider();
    const keys = [key, { 'idempotency-key': 'order-2' }, {}, {}];
    await Promise.all(keys.map((headers) => provider.send('hello', headers)));
    expect(await provider.stats()).toMatchObject({ accepted: 4 });
  });

  it('accepts a refused request when it is retried with the same key', async () => {
    const provider = await startProvider(firstFew(1));
    await provider.send('other');
    expect((await provider.send('hello', key)).status).toBe(429);
    await provider.call('POST', '/stats/reset'); // makes room in this test's quota
    expect(await (await provider.send('hello', key)).json()).toEqual({ ok: true, response: 'olleh' });
    expect(await provider.stats()).toMatchObject({ accepted: 1 });
  });

  it('forgets the oldest key beyond its limit', async () => {
    const provider = await startProvider(firstFew(), { memory: { maxAnswers: 1, maxChars: 1_000 } });
    await provider.send('first', key);
    await provider.send('other', { 'idempotency-key': 'order-2' });
    const again = await provider.send('again', key);
    expect(await again.json()).toEqual({ ok: true, response: 'niaga' });
  });

  it.each([
    ['is empty', ''],
    ['has a space', 'a b'],
    ['has a character beyond ASCII', 'é'],
    ['has 256 characters', 'k'.repeat(256)],
  ])('answers 400 to a key that %s, and counts nothing', async (_what, bad) => {
    const provider = await startProvider();
    const response = await provider.send('hello', { 'idempotency-key': bad });
    expect(response.status).toBe(400);
    expect(await problemOf(response)).toMatchObject({ code: 'invalid_request' });
    expect(await provider.stats()).toMatchObject({ accepted: 0 });
  });

  it('takes a key of 255 visible characters', async () => {
    const provider = await startProvider();
    expect((await provider.send('hello', { 'idempotency-key': `!~${'k'.repeat(253)}` })).status).toBe(200);
  });
});

describe('faults', () => {
  it('are all off at first', async () => {
    const provider = await startProvider();
    expect(await provider.faults()).toEqual(faultsSchema.parse({}));
  });

  it('are answered back as they are in force, and cleared by an empty object', async () => {
    const provider = await startProvider();
    const set = await provider.setFaults({ errorRate: 1, times: 3 });
    expect(set.status).toBe(200);
    expect(await set.json()).toEqual(faultsSchema.parse({ errorRate: 1, times: 3 }));
    await provider.send('hello');
    expect(await provider.faults()).toMatchObject({ errorRate: 1, times: 2 });
    expect(await (await provider.setFaults({})).json()).toEqual(faultsSchema.parse({}));
    expect((await provider.send('hello')).status).toBe(200);
  });

  it('are not changed by a body with an unknown field, which is named', async () => {
    const provider = await startProvider();
    const response = await provider.call('PUT', '/faults', { errorRate: 1, 'drop/rate': 1 });
    expect(response.status).toBe(400);
    expect((await problemOf(response)).errors).toEqual([{ pointer: '/drop~1rate', detail: 'is not a known field' }]);
    expect(await provider.faults()).toEqual(faultsSchema.parse({}));
  });

  it('errorRate: 500 and nothing counted', async () => {
    const provider = await startProvider();
    await provider.setFaults({ errorRate: 1 });
    const response = await provider.send('hello');
    expect(response.status).toBe(500);
    expect(await problemOf(response)).toMatchObject({ code: 'internal_error' });
    expect(await provider.stats()).toMatchObject({ accepted: 0, refused: 0 });
  });

  it('dropRate: the connection is closed without an answer and nothing counted', async () => {
    const provider = await startProvider();
    await provider.setFaults({ dropRate: 1 });
    expect(await isCutOff(provider.send('hello'))).toBe(true);
    expect(await provider.stats()).toMatchObject({ accepted: 0, refused: 0 });
  });

  it('loseReplyRate: counted, the connection closed, and a repeat gets the answer without being counted', async () => {
    const provider = await startProvider(firstFew(1));
    await provider.setFaults({ loseReplyRate: 1, times: 1 });
    expect(await isCutOff(provider.send('hello', { 'idempotency-key': 'k' }))).toBe(true);
    expect(await provider.stats()).toMatchObject({ accepted: 1 });
    const repeat = await provider.send('hello', { 'idempotency-key': 'k' });
    expect(await repeat.json()).toEqual({ ok: true, response: 'olleh' });
    expect(await provider.stats()).toMatchObject({ accepted: 1, refused: 0 });
  });

  it('nonsenseRate: counted, and 200 with a body that is not the contract', async () => {
    const provider = await startProvider();
    await provider.setFaults({ nonsenseRate: 1 });
    const response = await provider.send('hello');
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toContain('text/html');
    expect(await response.text()).not.toContain('olleh');
    expect(await provider.stats()).toMatchObject({ accepted: 1 });
  });

  it('latencyMs: the answer comes later, the decision was taken at arrival', async () => {
    let decidedMs = 0;
    const provider = await startProvider(firstFew(), { nowMs: () => (decidedMs = performance.now()) });
    await provider.setFaults({ latencyMs: 100 });
    await provider.send('hello');
    // Timers may fire a millisecond early by this clock.
    expect(performance.now() - decidedMs).toBeGreaterThanOrEqual(99);
  });

  it.each([{ errorRate: 1 }, { nonsenseRate: 1 }, { dropRate: 1 }, { loseReplyRate: 1 }])(
    'latencyMs is added to %j as well, even to the last of its times',
    async (fault) => {
      const provider = await startProvider();
      await provider.setFaults({ ...fault, latencyMs: 60, times: 1 });
      const startedMs = performance.now();
      await isCutOff(provider.send('hello'));
      expect(performance.now() - startedMs).toBeGreaterThanOrEqual(59);
      expect(await provider.faults()).toEqual(faultsSchema.parse({}));
    },
  );

  it('times counts only requests a fault took effect on', async () => {
    const provider = await startProvider(firstFew(0));
    await provider.setFaults({ loseReplyRate: 1, times: 1 });
    expect((await provider.send('refused, so there is no reply to lose')).status).toBe(429);
    expect(await provider.faults()).toMatchObject({ loseReplyRate: 1, times: 1 });
  });

  it('hit the share of requests their rate says', async () => {
    const draws = [0.2, 0.3, 0.2, 0.3];
    const provider = await startProvider(firstFew(), { random: () => draws.shift() ?? 1 });
    await provider.setFaults({ errorRate: 0.25 });
    const responses = await Promise.all(draws.map(() => provider.send('hello')));
    expect(responses.filter(({ status }) => status === 500)).toHaveLength(2);
    expect(responses.filter(({ status }) => status === 200)).toHaveLength(2);
  });
});

describe('operations', () => {
  it('starts a new log on POST /stats/reset', async () => {
    const provider = await startProvider();
    await provider.send('hello');
    expect(await provider.stats()).toMatchObject({ accepted: 1 });
    expect((await provider.call('POST', '/stats/reset')).status).toBe(204);
    expect(await provider.stats()).toEqual({ accepted: 0, refused: 0, windows: [] });
  });

  it('lists accepted keys at /stats/accepted, each as often as it was counted', async () => {
    const provider = await startProvider(firstFew(2));
    for (const key of ['a', 'a', 'b', 'refused']) await provider.send('hello', { 'idempotency-key': key });
    const { items } = acceptedRequestsSchema.parse(await (await provider.call('GET', '/stats/accepted')).json());
    expect(items.map(({ key }) => key)).toEqual(['a', 'b']);
    await provider.call('POST', '/stats/reset');
    expect(await (await provider.call('GET', '/stats/accepted')).json()).toEqual({ items: [] });
  });
});

describe('/stats and /faults', () => {
  const CONTROL_TOKEN = 'the-token-of-an-operator';
  const PATHS: [method: string, path: string][] = [
    ['GET', '/stats'],
    ['GET', '/stats/accepted'],
    ['POST', '/stats/reset'],
    ['GET', '/faults'],
    ['PUT', '/faults'],
  ];

  it.each(PATHS)('%s %s is 404 in production without CONTROL_TOKEN', async (method, path) => {
    const provider = await startProvider(firstFew(), { control: { NODE_ENV: 'production' } });
    const response = await provider.call(method, path, method === 'PUT' ? {} : undefined);
    expect(response.status).toBe(404);
    expect(await problemOf(response)).toMatchObject({ code: 'not_found' });
    expect((await provider.send('hello')).status).toBe(200);
  });

  it.each(PATHS)('%s %s is 401 with CONTROL_TOKEN until it is the bearer token', async (method, path) => {
    const provider = await startProvider(firstFew(), { control: { NODE_ENV: 'production', CONTROL_TOKEN } });
    const statusWith = async (headers: Record<string, string>): Promise<number> =>
      (await provider.call(method, path, method === 'PUT' ? {} : undefined, headers)).status;
    expect(await statusWith({})).toBe(401);
    expect(await statusWith({ authorization: 'Bearer another' })).toBe(401);
    expect(await statusWith({ authorization: `Bearer ${CONTROL_TOKEN}` })).toBeLessThan(300);
  });

  it('answer 401 as a problem that names the scheme', async () => {
    const provider = await startProvider(firstFew(), { control: { NODE_ENV: 'production', CONTROL_TOKEN } });
    const response = await provider.call('GET', '/stats');
    expect(response.headers.get('www-authenticate')).toBe('Bearer');
    expect(await problemOf(response)).toMatchObject({ code: 'unauthenticated' });
  });
});
