import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Problem } from '#contracts';
import { type Answer, call, inParallel, login, postMessage } from '../../../test/support/client.js';
import { RawConnection, rawRequest } from '../../../test/support/raw-connection.js';
import { type Stack, startStack } from '../../../test/support/stack.js';
import { DEMO_PASSWORD } from '../../../tools/stack/log-in.js';
import { waitUntil } from '../../../tools/stack/wait-until.js';

const PUBLIC_ORIGIN = 'https://octo.example';

let stack: Stack;
let gateway: string;
let cookie: string;
beforeAll(async () => {
  stack = await startStack({ env: { PUBLIC_ORIGIN, FREE_LIMIT: '1000' } });
  gateway = stack.origin.gateway;
  cookie = await login(gateway);
});
afterAll(() => stack.stop());

const JSON_TYPE = { 'content-type': 'application/json' };
const BYTES_PER_FIELD = '"kkkkkk":1,'.length;
const unknownFields = (bytes: number): string => {
  const fields = Array.from(
    { length: Math.floor(bytes / BYTES_PER_FIELD) },
    (_, index) => `"${index.toString().padStart(6, 'k')}":1`,
  );
  return `{"message":"a",${fields.join(',')}}`;
};

const SLOW = 50;

/** Sockets that the gateway has open, by its own metric. */
async function openSockets(): Promise<number> {
  const { body } = await call<string>(`${gateway}/metrics`);
  return Number(/nodejs_active_handles\{type="Socket"\} (\d+)/.exec(body)?.[1]);
}

describe('a connection', () => {
  it('whose headers do not arrive in time is answered 408 and closed, also when its client stays silent', async () => {
    const openBefore = await openSockets();
    const slow = await inParallel(SLOW, SLOW, async () => {
      const connection = await RawConnection.to(gateway);
      connection.socket.write('GET /quota HTTP/1.1\r\n');
      return connection;
    });
    try {
      const isOpen = async () => (await openSockets()) > openBefore + SLOW / 2;
      await waitUntil(isOpen, { what: 'the gateway accepts the connections' });
      await waitUntil(() => slow.every(({ status }) => status === 408), { what: '408', deadlineMs: 30_000 });
      // A few sockets more or less: those of this test and of the stack.
      const isClosed = async () => (await openSockets()) < openBefore + SLOW / 2;
      await waitUntil(isClosed, { what: 'the gateway closes the connections', deadlineMs: 10_000 });
    } finally {
      for (const { socket } of slow) socket.destroy();
    }
  });

  it('above MAX_CONNECTIONS is closed at once', async () => {
    const small = await startStack({ apps: ['free-provider'], env: { MAX_CONNECTIONS: '3' } });
    const connections = await inParallel(4, 1, () => RawConnection.to(small.origin.free));
    try {
      await waitUntil(() => connections.some(({ isEnded }) => isEnded), {
        what: 'a connection is closed',
        deadlineMs: 10_000,
      });
    } finally {
      for (const { socket } of connections) socket.destroy();
      await small.stop();
    }
  });
});

describe('an anonymous request with a body', () => {
  it.each([
    ['POST /messages with 400 kB', 'POST /messages', ['Content-Length: 400000']],
    ['POST /messages in chunks', 'POST /messages', ['Transfer-Encoding: chunked']],
    ['DELETE /messages/x', 'DELETE /messages/x', ['Content-Length: 400000']],
  ])('%s is answered 401 before the body has arrived', async (_what, line, headers) => {
    const { status, socket } = await rawRequest(gateway, [
      `${line} HTTP/1.1`,
      ...headers,
      'Content-Type: application/json',
    ]);
    socket.destroy();
    expect(status).toBe(401);
  });

  it('for an unknown path is answered 404 before the body has arrived', async () => {
    const { status, socket } = await rawRequest(gateway, [
      'POST /nothing HTTP/1.1',
      'Content-Type: application/json',
      'Content-Length: 400000',
    ]);
    socket.destroy();
    expect(status).toBe(404);
  });
});

describe('a body with many unknown fields', () => {
  it('of 400 kB is refused without being parsed', async () => {
    const { status, body } = await postMessage(gateway, cookie, unknownFields(390_000));
    expect({ status, code: body.code }).toEqual({ status: 400, code: 'invalid_message' });
    expect(body.detail).toContain('at most 10000 fields');
    expect(JSON.stringify(body).length).toBeLessThan(1_000);
  });

  it('gets 20 errors at most, and the number of the others', async () => {
    const { status, body } = await postMessage(gateway, cookie, unknownFields(40_000));
    expect({ status, errors: body.errors?.length }).toEqual({ status: 400, errors: 20 });
    expect(body.detail).toContain(`and ${Math.floor(40_000 / BYTES_PER_FIELD) - 20} more errors`);
  });

  it('gets 20 errors at most from /auth/login without a token', async () => {
    const { status, body } = await call<Problem>(`${gateway}/auth/login`, {
      method: 'POST',
      headers: JSON_TYPE,
      body: unknownFields(16_000),
    });
    expect({ status, errors: body.errors?.length }).toEqual({ status: 400, errors: 20 });
    expect(JSON.stringify(body).length).toBeLessThan(4_000);
  });

  it('with a name of 60 kB gets an error that does not repeat the name', async () => {
    const { status, body } = await postMessage(gateway, cookie, { message: 'a', ['x'.repeat(60_000)]: 1 });
    expect(status).toBe(400);
    expect(JSON.stringify(body).length).toBeLessThan(1_000);
  });

  it('inside the text of a message is delivered', async () => {
    const message = JSON.stringify(Array.from({ length: 20_000 }, () => 1));
    expect((await postMessage(gateway, cookie, { message })).status).toBe(200);
  });
});

describe('an HTTP corner', () => {
  it('POST /auth/login with Expect: 100-continue reaches auth', async () => {
    const body = JSON.stringify({ email: 'free@octo.local', password: DEMO_PASSWORD });
    const headers = ['Expect: 100-continue', 'Content-Type: application/json', `Content-Length: ${body.length}`];
    const connection = await rawRequest(gateway, ['POST /auth/login HTTP/1.1', ...headers], body);
    await waitUntil(() => / (200|503) /.test(connection.received), { what: 'the final answer', deadlineMs: 20_000 });
    connection.socket.destroy();
    expect(connection.received).toContain('HTTP/1.1 200 OK');
  });

  it.each(['/docs/../x', '/docs/..%2fx', '/docs/%2e%2e/x', '/docs/nothing.js'])(
    'GET %s is answered 404',
    async (path) => {
      const { status, socket } = await rawRequest(gateway, [`GET ${path} HTTP/1.1`]);
      socket.destroy();
      expect(status).toBe(404);
    },
  );

  it.each([
    ['PUT', '/messages', 'GET, HEAD, POST'],
    ['POST', '/quota', 'GET, HEAD'],
    ['PATCH', '/messages/x/events', 'GET, HEAD'],
    ['DELETE', '/auth/login', 'POST'],
  ])('%s %s is answered 405 with Allow', async (method, path, allow) => {
    const { status, headers, body } = await call<Problem>(`${gateway}${path}`, { method });
    expect({ status, code: body.code, allow: headers.get('allow') }).toEqual({
      status: 405,
      code: 'method_not_allowed',
      allow,
    });
  });

  it.each(['gzip', 'br'])('a body with Content-Encoding: %s is answered 415', async (encoding) => {
    const { status, body } = await postMessage(gateway, cookie, {}, { 'content-encoding': encoding });
    expect({ status, code: body.code }).toEqual({ status: 415, code: 'unsupported_media_type' });
  });

  it.each(['1e1', '0x10', '%2010', '1.0', ''])('GET /messages?limit=%s is answered 400', async (limit) => {
    const { status, body } = await call<Problem>(`${gateway}/messages?limit=${limit}`, { headers: { cookie } });
    expect({ status, pointer: body.errors?.[0]?.pointer }).toEqual({ status: 400, pointer: '/limit' });
  });

  it('a problem repeats at most 256 characters of the URL', async () => {
    const { body } = await call<Problem>(`${gateway}/${'x'.repeat(5_000)}`);
    expect(body.instance.length).toBeLessThanOrEqual(256);
  });
});

describe('every answer', () => {
  it.each([
    ['a message', '/messages', 200],
    ['an event stream of an unknown message', '/messages/x/events', 404],
    ['the page of the API', '/docs', 200],
    ['a script of that page', '/docs/swagger-ui-bundle.js', 200],
    ['an account', '/auth/me', 200],
    ['an unknown path', '/nothing', 404],
    ['a path that cannot be decoded', '/%zz', 400],
    ['the keys', '/.well-known/jwks.json', 200],
  ])('%s has the security headers once', async (_what, path, status) => {
    const answer = await call(`${gateway}${path}`, { headers: { cookie } });
    expect(answer.status).toBe(status);
    expect(Object.fromEntries(answer.headers)).toMatchObject({
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
      'strict-transport-security': 'max-age=31536000',
      'content-security-policy': expect.stringMatching(/^default-src 'none'; .*frame-ancestors 'none'$/),
    });
  });

  it.each(['/messages', '/quota', '/auth/me', '/nothing'])('of %s is not stored by caches', async (path) => {
    const { headers } = await call(`${gateway}${path}`, { headers: { cookie } });
    expect(headers.get('cache-control')).toBe('no-store');
  });

  it('an event stream has the security headers', async () => {
    const { body } = await postMessage(gateway, cookie);
    const stream = await call(`${gateway}/messages/${body.id}/events`, { headers: { cookie } });
    expect(stream.headers.get('content-type')).toContain('text/event-stream');
    expect(stream.headers.get('x-content-type-options')).toBe('nosniff');
    expect(stream.headers.get('strict-transport-security')).toBe('max-age=31536000');
  });

  it('has no HSTS where PUBLIC_ORIGIN is plain http', async () => {
    const { headers } = await call(`${stack.origin.free}/health/live`);
    expect(headers.has('strict-transport-security')).toBe(false);
    expect(headers.get('x-content-type-options')).toBe('nosniff');
  });

  it('of /docs allows no inline script, and has none', async () => {
    const { headers, body: html } = await call<string>(`${gateway}/docs`);
    const scripts = /script-src ([^;]*)/.exec(headers.get('content-security-policy') ?? '')?.[1];
    expect(scripts).toBe("'self'");
    const tags = [...html.matchAll(/<script([^>]*)>([^<]*)/g)];
    expect(tags.length).toBeGreaterThan(0);
    expect(tags.filter(([, attributes = '', text = '']) => !attributes.includes('src=') || text.trim() !== '')).toEqual(
      [],
    );
    expect(html).not.toMatch(/\son[a-z]+\s*=|javascript:/i);
  });
});

describe('a request with cookies from another site', () => {
  const send = (headers: Record<string, string>): Promise<Answer<Problem>> =>
    call(`${gateway}/messages`, {
      method: 'POST',
      headers: { cookie, ...JSON_TYPE, ...headers },
      body: JSON.stringify({ message: 'hello' }),
    });

  it.each([
    ['Sec-Fetch-Site: cross-site', { 'sec-fetch-site': 'cross-site' }],
    ['another port of the same site', { 'sec-fetch-site': 'same-site', origin: 'http://127.0.0.1:1' }],
    ['a foreign Origin', { origin: 'https://evil.example' }],
    ['an Origin that ends with the own one', { origin: 'https://evil-octo.example' }],
    ['Origin: null', { origin: 'null' }],
  ])('with %s is answered 403', async (_what, headers) => {
    const { status, body } = await send(headers);
    expect({ status, code: body.code }).toEqual({ status: 403, code: 'forbidden' });
  });

  it('cannot log the visitor out', async () => {
    const headers = { cookie, origin: 'https://evil.example' };
    expect((await call(`${gateway}/auth/logout`, { method: 'POST', headers })).status).toBe(403);
    expect((await call(`${gateway}/auth/me`, { headers: { cookie } })).status).toBe(200);
  });

  it.each([
    ['neither Origin nor Sec-Fetch-Site', {}],
    ['Sec-Fetch-Site: same-origin', { 'sec-fetch-site': 'same-origin', origin: 'http://127.0.0.1:1' }],
    ['Sec-Fetch-Site: none', { 'sec-fetch-site': 'none' }],
    ['PUBLIC_ORIGIN as Origin', { origin: PUBLIC_ORIGIN }],
  ])('does not include one with %s', async (_what, headers) => {
    expect((await send(headers)).status).toBe(200);
  });

  it('does not include one whose Origin is the address that it was sent to', async () => {
    expect((await send({ origin: gateway })).status).toBe(200);
    const headers = { cookie, origin: gateway };
    expect((await call(`${gateway}/auth/logout`, { method: 'POST', headers })).status).toBe(204);
    cookie = await login(gateway);
  });

  it('does not include one without cookies', async () => {
    const { status } = await send({ cookie: '', authorization: `Bearer ${cookie.replace('octo_token=', '')}` });
    expect(status).toBe(200);
  });

  it('may read: GET passes', async () => {
    const { status } = await call(`${gateway}/messages`, { headers: { cookie, 'sec-fetch-site': 'cross-site' } });
    expect(status).toBe(200);
  });
});

describe('metrics', () => {
  it('count requests by method, route pattern and class of status', async () => {
    await postMessage(gateway, cookie);
    await call(`${gateway}/nothing/${Math.random()}`);
    await call(`${gateway}/messages/some-id`, { headers: { cookie } });
    const count = async () => (await call<string>(`${gateway}/metrics`)).body;
    const has = async (pattern: RegExp) => pattern.test(await count());
    const series = (labels: string) =>
      new RegExp(String.raw`octo_http_request_duration_seconds_count\{${labels}\} [1-9]`);
    await waitUntil(() => has(series('method="POST",route="/messages",status="2xx"')), { what: 'POST is counted' });
    await waitUntil(() => has(series('method="GET",route="/messages/:id",status="4xx"')), { what: 'the pattern' });
    await waitUntil(() => has(series('method="GET",route="none",status="4xx"')), { what: 'an unknown path' });
    expect(await count()).not.toContain('some-id');
  });

  it('are served by METRICS_PORT alone', async () => {
    const small = await startStack({ apps: ['free-provider'], env: { METRICS_PORT: '0' } });
    try {
      const port = small.log.find(({ event }) => event === 'listening')?.['metricsPort'];
      const metrics = await call<string>(`http://127.0.0.1:${String(port)}/metrics`);
      expect(metrics.body).toContain('process_cpu_seconds_total');
      expect((await call(`http://127.0.0.1:${String(port)}/health/live`)).status).toBe(404);
      expect((await call(`${small.origin.free}/metrics`)).status).toBe(404);
      expect((await call(`${small.origin.free}/health/live`)).status).toBe(200);
    } finally {
      await small.stop();
    }
  });
});

describe('a process that got SIGTERM', () => {
  it('is not ready, but serves, until SHUTDOWN_DELAY_MS has passed', async () => {
    const small = await startStack({ apps: ['free-provider'], env: { SHUTDOWN_DELAY_MS: '3000' } });
    const { free } = small.origin;
    const stopped = small.stop();
    await waitUntil(async () => (await call(`${free}/health/ready`)).status === 503, { what: 'readiness is 503' });
    const served = await call(`${free}/messages`, { method: 'POST', headers: JSON_TYPE, body: '{"message":"a"}' });
    expect(served.status).toBe(200);
    expect(served.headers.get('connection')).toBe('close');
    await stopped;
    await expect(fetch(free)).rejects.toThrow('fetch failed');
  });
});
