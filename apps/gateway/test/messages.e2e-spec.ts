import { connect } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { call, inParallel, login, postMessage, statsOf } from '../../../test/support/client.js';
import { type Stack, startStack } from '../../../test/support/stack.js';
import { waitUntil } from '../../../tools/stack/wait-until.js';
import { quotaOf, untilFreeIsOpen } from './quota-of.js';

const FREE_LIMIT = 3;
const FREE_BLOCK_MS = 1_000;

let stack: Stack;
let gateway: string;
let paid: string;
let free: string;

beforeAll(async () => {
  stack = await startStack({ env: { FREE_LIMIT: String(FREE_LIMIT), FREE_BLOCK_MS: String(FREE_BLOCK_MS) } });
  gateway = stack.origin.gateway;
  [paid, free] = await Promise.all([login(gateway, 'paid@octo.local'), login(gateway, 'free@octo.local')]);
});
afterAll(() => stack.stop());

beforeEach(() => untilFreeIsOpen(gateway, paid));

const used = async () => (await quotaOf(gateway, paid)).used ?? 0;

/** Uses up what is left of the window. */
async function useUpFreeQuota(): Promise<void> {
  await inParallel(FREE_LIMIT - (await used()), 1, () => postMessage(gateway, paid));
}

describe('POST /messages', () => {
  it('delivers by the free provider, and answers with provider, cost and attempts', async () => {
    const { status, body } = await postMessage(gateway, paid, { message: 'hello' });
    expect(status).toBe(200);
    expect(body).toMatchObject({
      status: 'delivered',
      provider: 'free',
      response: 'olleh',
      costMicros: 0,
      currency: 'USD',
      attempts: [{ provider: 'free', outcome: 'delivered', httpStatus: 200 }],
    });
  });

  it('uses the free provider, the paid one while free quota is blocked, then the free one again', async () => {
    await useUpFreeQuota();
    const whileBlocked = await postMessage(gateway, paid);
    expect(whileBlocked.body).toMatchObject({ provider: 'paid', costMicros: 2_500 });
    expect(whileBlocked.body.attempts).toHaveLength(1);
    await untilFreeIsOpen(gateway, paid);
    expect((await postMessage(gateway, paid)).body).toMatchObject({ provider: 'free', costMicros: 0 });
    expect(await statsOf(stack.origin.free)).toMatchObject({ refused: 0 });
  });

  it('answers 403 with Retry-After when free quota is blocked and the account may not pay, and 200 after that time', async () => {
    await useUpFreeQuota();
    const { status, headers, body } = await postMessage(gateway, free);
    expect(status).toBe(403);
    expect(headers.get('content-type')).toContain('application/problem+json');
    expect(Number(headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
    expect(body).toMatchObject({ code: 'paid_access_required', status: 403, instance: '/messages' });
    const reopensAtMs = Date.parse(body.freeReopensAt ?? '');
    expect(reopensAtMs - Date.now()).toBeLessThanOrEqual(FREE_BLOCK_MS + 200);
    await waitUntil(() => Date.now() > reopensAtMs, { what: 'freeReopensAt has passed' });
    expect((await postMessage(gateway, free)).body).toMatchObject({ provider: 'free' });
  });

  it('answers 403 instead of paying for a message with paid: never', async () => {
    await useUpFreeQuota();
    const before = await statsOf(stack.origin.paid);
    const { status, body } = await postMessage(gateway, paid, { message: 'hello', paid: 'never' });
    expect({ status, code: body.code }).toEqual({ status: 403, code: 'paid_access_required' });
    expect((await statsOf(stack.origin.paid)).accepted).toBe(before.accepted);
  });

  it('accepts a bearer token instead of the cookie', async () => {
    const token = paid.replace('octo_token=', '');
    const { status } = await postMessage(gateway, '', { message: 'hello' }, { authorization: `Bearer ${token}` });
    expect(status).toBe(200);
  });

  it('answers with the request id of the caller, or with a new one when that is not well-formed', async () => {
    const own = await postMessage(gateway, paid, { message: 'a' }, { 'x-request-id': 'call-42' });
    expect(own.headers.get('x-request-id')).toBe('call-42');
    const other = await postMessage(gateway, paid, {}, { 'x-request-id': 'no spaces' });
    expect(other.headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/);
    expect(other.body.requestId).toBe(other.headers.get('x-request-id'));
  });

  it.each([
    ['the longest message', 'x'.repeat(65_536), 'x'.repeat(65_536)],
    ['grapheme clusters', 'a👨‍👩‍👧e\u0301', 'e\u0301👨‍👩‍👧a'],
    ['quotes and control characters', '"\n\u0000', '\u0000\n"'],
    ['the longest message of characters that JSON escapes', '\u0001'.repeat(65_536), '\u0001'.repeat(65_536)],
  ])('carries %s to the provider and back unchanged', async (_what, message, response) => {
    expect((await postMessage(gateway, paid, { message })).body.response).toBe(response);
  });
});

describe('a request to the gateway', () => {
  const utf16 = new Uint8Array([...Buffer.from('{"message":"'), 0xff, 0xfe, ...Buffer.from('"}')]);
  it.each([
    ['no message', {}, 400, 'invalid_message', '/message'],
    ['an empty message', { message: '' }, 400, 'invalid_message', '/message'],
    ['a message that is not a string', { message: 7 }, 400, 'invalid_message', '/message'],
    ['an unknown field', { message: 'a', prio: 1 }, 400, 'invalid_message', '/prio'],
    ['an unknown value', { message: 'a', paid: 'maybe' }, 400, 'invalid_message', '/paid'],
    [
      'a deadline in the past',
      { message: 'a', deliverBy: '2020-01-01T00:00:00Z' },
      400,
      'invalid_message',
      '/deliverBy',
    ],
    ['a deadline too far', { message: 'a', deliverBy: '2199-01-01T00:00:00Z' }, 400, 'invalid_message', '/deliverBy'],
    ['a deadline that is not a time', { message: 'a', deliverBy: 'soon' }, 400, 'invalid_message', '/deliverBy'],
    ['a body that is not an object', '[1]', 400, 'invalid_message', ''],
    ['a body that is not JSON', '{"message":', 400, 'invalid_message', undefined],
    ['no body', '', 400, 'invalid_message', ''],
    ['a body that is not UTF-8', utf16, 400, 'invalid_message', undefined],
    ['a message over 65 536 bytes', { message: 'é'.repeat(32_769) }, 413, 'message_too_large', '/message'],
    [
      'a body longer than any valid message needs',
      { message: 'x'.repeat(500_000) },
      413,
      'message_too_large',
      undefined,
    ],
  ])('with %s gets a problem that names the field, and uses no quota', async (_what, body, status, code, pointer) => {
    const before = await used();
    const answer = await postMessage(gateway, paid, body);
    expect({ status: answer.status, code: answer.body.code }).toEqual({ status, code });
    if (pointer !== undefined) expect(answer.body.errors?.map((error) => error.pointer)).toContain(pointer);
    expect(await used()).toBe(before);
  });

  it('with several invalid fields gets one problem that names all of them', async () => {
    const { body } = await postMessage(gateway, paid, { message: '', paid: 'maybe', colour: 'red' });
    expect(body.errors?.map(({ pointer }) => pointer).toSorted()).toEqual(['/colour', '/message', '/paid']);
  });

  it('with another media type is answered 415', async () => {
    const { status, body } = await postMessage(gateway, paid, 'hello', { 'content-type': 'text/plain' });
    expect({ status, code: body.code }).toEqual({ status: 415, code: 'unsupported_media_type' });
  });

  it.each([
    ['no token', ''],
    ['a token that is not a JWT', 'octo_token=abc'],
    ['a token with a forged signature', 'octo_token=eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0.AAAA'],
  ])('with %s is answered 401', async (_what, cookie) => {
    const { status, body } = await postMessage(gateway, cookie);
    expect({ status, code: body.code }).toEqual({ status: 401, code: 'unauthenticated' });
  });

  it('for an unknown path is answered 404 with a problem', async () => {
    const { status, body } = await call<{ code: string }>(`${gateway}/nothing`);
    expect({ status, code: body.code }).toEqual({ status: 404, code: 'not_found' });
  });

  it('for a message id of 500 characters is answered 404', async () => {
    const { status, body } = await call<{ code: string }>(`${gateway}/messages/${'x'.repeat(500)}`, {
      headers: { cookie: paid },
    });
    expect({ status, code: body.code }).toEqual({ status: 404, code: 'not_found' });
  });
});

describe('a malformed HTTP request', () => {
  it.each([
    ['a path that cannot be decoded', '/%zz', 400],
    ['a path that leaves its prefix', '/auth/%2e%2e/x', 404],
    ['headers that are too large', '/quota', 431],
  ])('with %s is answered with a problem', async (_what, path, status) => {
    const headers = status === 431 ? { 'x-padding': 'x'.repeat(20_000) } : {};
    const answer = await call<{ status: number; requestId: string }>(`${gateway}${path}`, { headers });
    expect(answer.status).toBe(status);
    expect(answer.headers.get('content-type')).toContain('application/problem+json');
    expect(answer.body.requestId).toBe(answer.headers.get('x-request-id'));
  });

  it('that is not HTTP is answered 400 with a problem on the bare socket', async () => {
    const socket = connect(Number(new URL(gateway).port), '127.0.0.1');
    socket.end('hello\r\n\r\n');
    let answer = '';
    for await (const chunk of socket) answer += String(chunk);
    expect(answer).toMatch(/^HTTP\/1\.1 400 [\s\S]*application\/problem\+json[\s\S]*"code":"invalid_request"/);
  });

  it('with a body too large for /auth leaves no connection on which the next request hangs', async () => {
    const flood = fetch(`${gateway}/auth/login`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: new Blob(['x'.repeat(200_000)]).stream(),
      duplex: 'half',
    });
    // The gateway closes the socket: whether the client sees the answer depends on how much it was still writing.
    const status = await flood.then(
      (response) => response.status,
      () => 'connection closed',
    );
    expect([413, 'connection closed']).toContain(status);
    expect(await login(gateway, 'free@octo.local')).toContain('octo_token=');
  });
});

describe('an access token', () => {
  it('is refused by the gateway right after logout', async () => {
    const cookie = await login(gateway, 'paid@octo.local');
    expect((await postMessage(gateway, cookie)).status).toBe(200);
    const logout = await call(`${gateway}/auth/logout`, { method: 'POST', headers: { cookie } });
    expect(logout.status).toBe(204);
    expect((await postMessage(gateway, cookie)).status).toBe(401);
  });
});

describe('the operator endpoints', () => {
  it('GET /quota shows price, limit and used slots of every provider', async () => {
    await useUpFreeQuota();
    const { status, body } = await call(`${gateway}/quota`, { headers: { cookie: free } });
    expect(status).toBe(200);
    expect(body).toMatchObject({
      currency: 'USD',
      providers: [
        {
          name: 'free',
          priceMicros: 0,
          state: 'blocked',
          limit: 3,
          used: 3,
          remaining: 0,
          reopensAt: expect.any(String),
        },
        {
          name: 'paid',
          priceMicros: 2_500,
          state: 'unlimited',
          limit: null,
          used: null,
          remaining: null,
          reopensAt: null,
        },
      ],
    });
  });

  it('GET /quota without a token is answered 401', async () => {
    expect((await call(`${gateway}/quota`)).status).toBe(401);
  });

  it.each(['auth', 'free', 'paid', 'gateway'] as const)('%s serves health and metrics', async (app) => {
    const origin = stack.origin[app];
    expect((await call(`${origin}/health/live`)).body).toEqual({ status: 'ok' });
    expect((await call(`${origin}/health/ready`)).body).toEqual({ status: 'ready' });
    const { body } = await call<string>(`${origin}/metrics`);
    expect(body).toContain('process_cpu_seconds_total');
  });

  it('GET /metrics counts attempts and trips to Redis', async () => {
    await postMessage(gateway, paid);
    const { body } = await call<string>(`${gateway}/metrics`);
    expect(body).toMatch(/octo_attempts_total\{provider="free",outcome="delivered"\} \d+/);
    expect(body).toMatch(/octo_quota_trips_total \d+/);
  });

  it('GET /openapi.json describes gateway and auth without dangling references, and /docs shows it', async () => {
    const { body } = await call<{ paths: Record<string, Record<string, { responses: object }>> }>(
      `${gateway}/openapi.json`,
    );
    const statuses = Object.keys(body.paths['/messages']?.['post']?.responses ?? {});
    expect(statuses).toEqual(
      expect.arrayContaining([
        '200',
        '202',
        '400',
        '401',
        '403',
        '409',
        '410',
        '413',
        '415',
        '422',
        '429',
        '502',
        '503',
        '504',
      ]),
    );
    // A dangling reference makes the document useless to generators.
    const references = [...JSON.stringify(body).matchAll(/"\$ref":"([^"]+)"/g)].map(([, reference = '']) => reference);
    const targetOf = (reference: string): unknown =>
      reference
        .slice(2)
        .split('/')
        .reduce<unknown>((node, name) => (node as Record<string, unknown> | undefined)?.[name], body);
    expect(references.filter((reference) => targetOf(reference) === undefined)).toEqual([]);
    expect(Object.keys(body.paths)).toEqual(
      expect.arrayContaining(['/messages', '/quota', '/auth/login', '/auth/users/{id}', '/.well-known/jwks.json']),
    );
    expect((await call<string>(`${gateway}/docs`)).body).toContain('swagger');
    expect((await call<string>(`${gateway}/docs/swagger-ui-init.js`)).body).toContain('/openapi.json');
  });
});
