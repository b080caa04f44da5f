import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { waitUntil } from '../../tools/stack/wait-until.js';
import { call, statsOf } from '../support/client.js';
import { RawConnection } from '../support/raw-connection.js';
import { type Arena, outcomeOf, startArena } from './arena.js';

let arena: Arena;
beforeAll(async () => {
  arena = await startArena();
});
afterAll(() => arena.stop());

/** Writes bytes as they are. Resolves when an answer has come or the connection has ended. */
async function exchange(bytes: string): Promise<RawConnection> {
  const connection = await RawConnection.to(arena.gateway);
  connection.socket.write(bytes);
  const hasAnswer = (): boolean => connection.status !== undefined || connection.isEnded;
  await waitUntil(hasAnswer, { what: 'an answer', deadlineMs: 20_000 });
  return connection;
}

/** @returns the status, or 0 when the connection ended without an answer */
async function statusOf(bytes: string): Promise<number> {
  const { status = 0, socket } = await exchange(bytes);
  socket.destroy();
  return status;
}

const get = (path: string, ...lines: string[]): string =>
  [`GET ${path} HTTP/1.1`, 'Host: octo', ...lines, '', ''].join('\r\n');
const BODY = '{"message":"hello"}';
const LENGTH = `Content-Length: ${BODY.length}`;
const CHUNKED = 'Transfer-Encoding: chunked';
const chunk = (size: string, end = '\r\n'): string => `${size}${end}${BODY}\r\n0\r\n\r\n`;
const HEX_LENGTH = BODY.length.toString(16);

function post(lines: string[], body = BODY, path = '/messages'): string {
  const fixed = ['Host: octo', `Authorization: Bearer ${arena.alice.token}`, 'Content-Type: application/json'];
  return [`POST ${path} HTTP/1.1`, ...fixed, ...lines, '', body].join('\r\n');
}

describe('a request with ambiguous framing', () => {
  it('is made in the same way as one that is accepted', async () => {
    expect(await statusOf(post([LENGTH]))).toBe(200);
    expect(await statusOf(post([CHUNKED], chunk(HEX_LENGTH)))).toBe(200);
  });

  const ambiguous: [string, () => string][] = [
    [
      'Content-Length before Transfer-Encoding is refused',
      () => post(['Content-Length: 5', CHUNKED], chunk(HEX_LENGTH)),
    ],
    [
      'Content-Length after Transfer-Encoding is refused',
      () => post([CHUNKED, 'Content-Length: 5'], chunk(HEX_LENGTH)),
    ],
    ['two different lengths are refused', () => post([LENGTH, 'Content-Length: 5'])],
    ['two equal lengths are refused', () => post([LENGTH, LENGTH])],
    ['a list of lengths is refused', () => post(['Content-Length: 19, 19'])],
    ['a length with a sign is refused', () => post(['Content-Length: +19'])],
    ['a hexadecimal length is refused', () => post(['Content-Length: 0x13'])],
    ['an unknown transfer coding is refused', () => post(['Transfer-Encoding: xchunked'], chunk(HEX_LENGTH))],
    ['a transfer coding after chunked is refused', () => post([`${CHUNKED}, identity`], chunk(HEX_LENGTH))],
    ['a space before the colon of Transfer-Encoding is refused', () => post(['Transfer-Encoding : chunked', LENGTH])],
    ['a folded header is refused', () => post(['X-Folded: a', ` ${CHUNKED}`, LENGTH])],
    ['line feeds without carriage returns are refused', () => post([LENGTH]).replaceAll('\r\n', '\n')],
    ['a carriage return alone in a header is refused', () => post([`X-A: a\r${CHUNKED}`, LENGTH])],
    ['NUL in a header is refused', () => post(['X-A: a\0b', LENGTH])],
    ['a space in the name of a header is refused', () => post(['X A: a', LENGTH])],
    ['a length of a chunk with a prefix is refused', () => post([CHUNKED], chunk(`0x${HEX_LENGTH}`))],
    ['a line feed alone after the length of a chunk is refused', () => post([CHUNKED], chunk(HEX_LENGTH, '\n'))],
    ['a chunk longer than its length is refused', () => post([CHUNKED], chunk('5'))],
    ['20 kB of extensions of a chunk are refused', () => post([CHUNKED], chunk(`${HEX_LENGTH};${'x'.repeat(20_000)}`))],
    ['a request without Host is refused', () => 'GET /health/live HTTP/1.1\r\n\r\n'],
    ['HTTP/2 without negotiation is refused', () => 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
  ];
  it.each(ambiguous)('%s', async (_name, bytes) => {
    const before = (await statsOf(arena.stack.origin.free)).accepted;
    const connection = await exchange(`${bytes()}${get('/health/live')}`);
    await waitUntil(() => connection.isEnded, { what: 'the connection is closed', deadlineMs: 20_000 });
    // One answer: what follows is not taken for a request.
    expect(connection.statuses.filter((status) => status !== 413)).toEqual([400]);
    expect((await statsOf(arena.stack.origin.free)).accepted).toBe(before);
  });

  it('20 kB of headers are refused with 431', async () => {
    expect(await statusOf(get('/health/live', `X-Long: ${'x'.repeat(20_000)}`))).toBe(431);
  });
});

describe('a request target', () => {
  const outside: [string, string][] = [
    ['with .. does not leave the path of auth', '/auth/../metrics'],
    ['with encoded dots does not leave the path of auth', '/auth/%2e%2e/metrics'],
    ['with an encoded slash does not leave the path of auth', '/auth/..%2fmetrics'],
    ['with a backslash does not leave the path of auth', '/auth/..\\metrics'],
    ['with dots that are encoded twice does not leave the path of auth', '/auth/%252e%252e/metrics'],
    ['below the keys does not leave them', '/.well-known/jwks.json/%2e%2e/%2e%2e/metrics'],
    ['that starts like auth is not sent to auth', '/auth@evil.example/'],
    ['with another host behind auth is not sent there', '/auth//evil.example/'],
    ['with encoded backslashes does not leave the files of /docs', '/docs/..%5c..%5cpackage.json'],
    ['with doubled dots does not leave the files of /docs', '/docs/....//....//package.json'],
    ['with dots that are encoded twice does not leave the files of /docs', '/docs/%252e%252e/package.json'],
    ['with NUL is not a file of /docs', '/docs/index.css%00.html'],
    ['with two slashes is no redirect to another host', '//evil.example/%2e%2e'],
    ['with a backslash is no redirect to another host', '/\\evil.example'],
    ['with two slashes below /docs is no redirect to another host', '/docs//evil.example/..'],
  ];
  it.each(outside)('%s', async (_name, path) => {
    const connection = await exchange(get(path));
    expect([400, 404]).toContain(connection.status);
    expect(connection.received).not.toMatch(/^location:/im);
    expect(connection.received).not.toContain('process_cpu');
    connection.socket.destroy();
  });

  it('in absolute form reaches no other host', async () => {
    const { received, status, socket } = await exchange(get('http://evil.example/auth/me'));
    socket.destroy();
    expect(status).toBe(400);
    expect(received).toContain('invalid_request');
  });

  it('with a host and CONNECT opens no tunnel', async () => {
    expect(await statusOf('CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n')).toBe(0);
  });
});

describe('a header that proxies know', () => {
  it.each([['X-HTTP-Method-Override'], ['X-HTTP-Method'], ['X-Method-Override']])(
    '%s does not change the method',
    async (name) => {
      const before = await arena.send('GET', '/auth/keys', arena.alice.bearer);
      const answer = await arena.send('POST', `/auth/keys/${arena.alice.keyId}`, {
        ...arena.alice.bearer,
        [name]: 'DELETE',
      });
      expect([404, 405]).toContain(answer.status);
      expect((await arena.send('GET', '/auth/keys', arena.alice.bearer)).body).toEqual(before.body);
    },
  );

  it.each([['X-Original-URL'], ['X-Rewrite-URL'], ['X-Forwarded-Prefix']])(
    '%s does not change the path',
    async (name) => {
      const answer = await arena.send('GET', '/auth/me', { ...arena.mallory.bearer, [name]: '/auth/users' });
      expect([answer.status, answer.body['id']]).toEqual([200, arena.mallory.id]);
    },
  );

  it('X-Forwarded-Host of an untrusted peer does not make a foreign origin the own one', async () => {
    const headers = { ...arena.alice.cookies, origin: 'https://evil.example', 'x-forwarded-host': 'evil.example' };
    expect(outcomeOf(await arena.send('POST', '/messages', headers, { message: 'a' }))).toBe('403 forbidden');
    expect(outcomeOf(await arena.send('POST', '/auth/logout', headers))).toBe('403 forbidden');
  });

  it('a second Host does not make a foreign origin the own one', async () => {
    const lines = ['Host: evil.example', `Cookie: octo_token=${arena.alice.token}`, 'Origin: https://evil.example'];
    const connection = await exchange(post([...lines, LENGTH]));
    connection.socket.destroy();
    expect(connection.status).toBe(403);
  });

  it('Host is not repeated in an answer', async () => {
    for (const path of ['/docs', '/openapi.json', '/nothing', '/auth/me', '/.well-known/jwks.json']) {
      const { received, socket } = await exchange(get(path).replace('Host: octo', 'Host: evil.example'));
      socket.destroy();
      expect(received).not.toContain('evil.example');
    }
  });

  it('Upgrade changes neither the protocol nor the way of a request', async () => {
    for (const protocol of ['h2c', 'websocket']) {
      const upgrade = get('/auth/me', 'Connection: Upgrade', `Upgrade: ${protocol}`);
      expect(await statusOf(upgrade)).toBe(401);
    }
  });

  it('TRACE is refused and repeats no cookie', async () => {
    const { received, status, socket } = await exchange(
      get('/messages', 'Cookie: octo_token=secret').replace('GET', 'TRACE'),
    );
    socket.destroy();
    expect(status).toBe(405);
    expect(received).not.toContain('secret');
  });
});

describe('a page of another origin', () => {
  it('gets no permission to read an answer (CORS)', async () => {
    const origin = { origin: 'https://evil.example' };
    for (const path of ['/auth/me', '/messages', '/quota', '/nothing']) {
      const { headers } = await arena.send('GET', path, { ...arena.alice.cookies, ...origin });
      expect([...headers.keys()].filter((name) => name.startsWith('access-control-'))).toEqual([]);
    }
  });

  it('gets no permission to send JSON (CORS preflight)', async () => {
    const asks = {
      origin: 'https://evil.example',
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'content-type',
    };
    for (const path of ['/auth/login', '/messages']) {
      const { headers, status } = await arena.send('OPTIONS', path, asks);
      expect(status).toBeGreaterThanOrEqual(400);
      expect(headers.get('access-control-allow-origin')).toBeNull();
    }
  });

  it('cannot log a visitor in to its own account with a form', async () => {
    const credentials = JSON.stringify({ email: arena.mallory.email, password: 'octo-demo-password' });
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=a']) {
      const headers = { 'content-type': type, 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' };
      const answer = await arena.send('POST', '/auth/login', headers, credentials);
      expect([answer.status, answer.headers.getSetCookie()]).toEqual([415, []]);
    }
  });

  it.each([
    ['DELETE', '/auth/keys/:key'],
    ['POST', '/auth/keys'],
    ['POST', '/auth/refresh'],
    ['POST', '/auth/password'],
    ['PATCH', '/auth/users/:id'],
    ['DELETE', '/messages/:id'],
  ])('cannot use the cookies of a visitor for %s %s', async (method, path) => {
    const headers = { ...arena.admin.cookies, 'sec-fetch-site': 'cross-site' };
    const url = path.replace(':key', arena.admin.keyId).replace(':id', arena.mallory.id);
    expect(outcomeOf(await arena.send(method, url, headers))).toBe('403 forbidden');
  });

  it('cannot put an answer into a frame', async () => {
    for (const path of ['/docs', '/auth/me', '/nothing']) {
      const { headers } = await arena.send('GET', path, arena.alice.cookies);
      expect(headers.get('content-security-policy')).toContain("frame-ancestors 'none'");
    }
  });

  it('cannot make /docs show a document of its own', async () => {
    const path = '/docs/swagger-ui-init.js?url=https://evil.example/openapi.json';
    const { body } = await call<string>(`${arena.gateway}${path}`);
    expect(body).not.toContain('evil.example');
    expect(body).not.toMatch(/queryConfigEnabled["']?:\s*true/);
  });
});
