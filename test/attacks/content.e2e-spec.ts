import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { startStubProvider, type StubProvider } from '../../apps/gateway/test/stub-provider.js';
import { type Arena, type Headers, outcomeOf, startArena } from './arena.js';

const dir = mkdtempSync(join(tmpdir(), 'octo-attacks-'));
let stub: StubProvider;
let arena: Arena;
beforeAll(async () => {
  stub = await startStubProvider();
  const PROVIDERS_FILE = join(dir, 'providers.yaml');
  writeFileSync(PROVIDERS_FILE, providersFile(stub.origin));
  arena = await startArena({ PROVIDERS_FILE, PROVIDER_KEY: 'provider-secret' });
});
afterAll(async () => {
  await arena.stop();
  await stub.stop();
  rmSync(dir, { recursive: true, force: true });
});

/** Templates that put text of a caller into each part of a request. */
const providersFile = (origin: string): string => `
currency: USD
channels:
  default: { providers: [small] }
  parts: { providers: [parts] }
  json: { message: {}, providers: [json] }
providers:
  - { name: small, priceMicros: 0, url: '${origin}/small' }
  - name: parts
    priceMicros: 0
    url: '${origin}/to/{{ $encodeUrlComponent(message) }}/send'
    headers: { x-to: '{{ message }}', authorization: 'Bearer \${PROVIDER_KEY}' }
    form: { to: '{{ message }}', from: octo }
    response: body
  - { name: json, priceMicros: 0, url: '${origin}/json', json: { text: '{{ message }}', from: octo }, response: body }
`;

const post = (body: unknown, headers: Headers = {}) =>
  arena.send('POST', '/messages', { ...arena.alice.bearer, ...headers }, body);
/** Requests that the providers have received since the last call. */
const sent = (): StubProvider['requests'] => stub.requests.splice(0);

describe('a body', () => {
  const arrays = '['.repeat(9_000) + ']'.repeat(9_000);
  const objects = `${'{"a":'.repeat(4_900)}1${'}'.repeat(4_900)}`;
  const bad: [string, unknown, string][] = [
    ['with __proto__ is refused', '{"message":"a","__proto__":{"paid":"never"}}', '400 invalid_message'],
    [
      'with constructor.prototype is refused',
      '{"message":"a","constructor":{"prototype":{"x":1}}}',
      '400 invalid_message',
    ],
    ['with __proto__ as its channel is refused', { message: 'a', channel: '__proto__' }, '400 unknown_channel'],
    ['with constructor as its channel is refused', { message: 'a', channel: 'constructor' }, '400 unknown_channel'],
    ['with NUL as its channel is refused', { message: 'a', channel: '\0' }, '400 unknown_channel'],
    ['with 9,000 nested arrays is refused', `{"message":${arrays}}`, '400 invalid_message'],
    [
      'with 9,000 nested arrays as JSON message is refused',
      `{"channel":"json","message":${arrays}}`,
      '400 invalid_message',
    ],
    [
      'with 4,900 nested objects as JSON message is refused',
      `{"channel":"json","message":${objects}}`,
      '400 invalid_message',
    ],
    ['with half a surrogate pair is refused', '{"message":"\\ud800"}', '400 invalid_message'],
    ['that begins with a byte order mark is refused', '\ufeff{"message":"a"}', '400 invalid_message'],
    ['that is null is refused', 'null', '400 invalid_message'],
    ['that is a list is refused', '[{"message":"a"}]', '400 invalid_message'],
    ['with text after its end is refused', '{"message":"a"}{"message":"b"}', '400 invalid_message'],
    [
      'with the account of another user is refused',
      { message: 'a', accountId: '7d444840-9dc0-11d1-b245-5ffdce74fad2' },
      '400 invalid_message',
    ],
    [
      'that grants itself paid providers is refused',
      { message: 'a', mayPay: true, paidAccess: true },
      '400 invalid_message',
    ],
    [
      'that names its provider and cost is refused',
      { message: 'a', provider: 'small', costMicros: 0 },
      '400 invalid_message',
    ],
  ];
  it.each(bad)('%s', async (_name, body, outcome) => {
    expect(outcomeOf(await post(body))).toBe(outcome);
    expect(sent()).toEqual([]);
  });

  it('nested 90 deep as JSON message is delivered', async () => {
    const message = `${'{"a":'.repeat(90)}1${'}'.repeat(90)}`;
    expect((await post(`{"channel":"json","message":${message}}`)).status).toBe(200);
    expect(sent()[0]?.body).toContain(message);
  });

  it('with bytes that are not UTF-8 is refused', async () => {
    const body = Buffer.concat([Buffer.from('{"message":"'), Buffer.from([0xc0, 0x80, 0xff]), Buffer.from('"}')]);
    const headers = { ...arena.alice.bearer, 'content-type': 'application/json' };
    const { status } = await fetch(`${arena.gateway}/messages`, { method: 'POST', headers, body });
    expect([status, sent()]).toEqual([400, []]);
  });

  it('with the same field twice is sent, recorded and charged as one message', async () => {
    const { body } = await post('{"message":"first","message":"second"}');
    const record = await arena.send('GET', `/messages/${String(body['id'])}`, arena.alice.bearer);
    expect(record.body['message']).toBe('second');
    expect(sent().map((request) => request.body)).toEqual(['{"message":"second"}']);
  });

  it.each([
    'text/plain',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=a',
    'application/jsonp',
    'application/xml',
    'application/json, text/plain',
  ])('with Content-Type %s is refused', async (type) => {
    expect(outcomeOf(await post('{"message":"a"}', { 'content-type': type }))).toBe('415 unsupported_media_type');
    expect(sent()).toEqual([]);
  });

  it('is read as UTF-8 whatever charset it names', async () => {
    expect((await post('{"message":"é"}', { 'content-type': 'application/json; charset=utf-16' })).status).toBe(200);
    expect(sent()[0]?.body).toBe('{"message":"é"}');
  });
});

describe('a message to a provider', () => {
  it('with line breaks adds no header to a request', async () => {
    const { body, status } = await post({ channel: 'parts', message: 'a\r\nX-Evil: 1\r\n\r\nGET / HTTP/1.1' });
    expect([status, sent()]).toEqual([502, []]);
    expect(JSON.stringify(body)).toContain('must be one line of ASCII');
  });

  it('that does not fit a template does not pause the account for others', async () => {
    for (let i = 0; i < 8; i += 1) await post({ channel: 'parts', message: 'é\n' });
    expect((await post({ channel: 'parts', message: 'ok' })).status).toBe(200);
    sent();
  });

  it('with path segments and a query stays one segment of the URL', async () => {
    await post({ channel: 'parts', message: '../../admin?x=1#y' });
    expect(sent().map(({ path }) => path)).toEqual(['/to/..%2F..%2Fadmin%3Fx%3D1%23y/send']);
  });

  it('with & and = adds no field to a form', async () => {
    await post({ channel: 'parts', message: 'a&from=mallory' });
    expect(sent().map(({ body }) => body)).toEqual(['to=a%26from%3Dmallory&from=octo']);
  });

  it('with quotes adds no field to JSON', async () => {
    await post({ channel: 'json', message: 'a", "from": "mallory' });
    expect(JSON.parse(sent()[0]?.body ?? '')).toEqual({ text: 'a", "from": "mallory', from: 'octo' });
  });

  it('with an expression is text, and nothing evaluates it', async () => {
    for (const message of ['{{ $millis() }}', '$eval("1+1")', '${PROVIDER_KEY}', '${file:/etc/passwd}']) {
      await post({ channel: 'json', message });
      expect(JSON.parse(sent()[0]?.body ?? '')).toEqual({ text: message, from: 'octo' });
    }
  });

  it('does not take the cookies, the token or the address of its caller along', async () => {
    const headers = {
      ...arena.alice.cookies,
      'x-forwarded-for': '203.0.113.7',
      'proxy-authorization': 'Basic c2VjcmV0',
    };
    await post({ message: 'a' }, { ...headers, 'idempotency-key': 'private-key' });
    const [request] = sent();
    const text = JSON.stringify(request?.headers);
    for (const secret of [
      arena.alice.token,
      arena.alice.refreshToken,
      '203.0.113.7',
      'c2VjcmV0',
      'private-key',
      arena.alice.id,
    ]) {
      expect(text).not.toContain(secret);
    }
  });

  it('with a request id or a trace that is not well-formed gets new ones', async () => {
    await post({ message: 'a' }, { 'x-request-id': 'a b"; evil=1', traceparent: '00-zz-evil-01' });
    const [request] = sent();
    expect(request?.headers['x-request-id']).toMatch(/^[\w-]{36}$/);
    expect(request?.headers['traceparent']).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/);
  });
});

describe('an answer of a provider', () => {
  it('sets no cookie and no header at the caller', async () => {
    stub.answer = (response) =>
      response
        .writeHead(200, {
          'set-cookie': 'octo_token=evil',
          'x-evil': '1',
          location: 'https://evil.example',
          'content-type': 'application/json',
        })
        .end('{"ok":true,"response":"a"}');
    const { headers, status } = await post({ message: 'a' });
    expect([status, headers.getSetCookie(), headers.get('x-evil'), headers.get('location')]).toEqual([
      200,
      [],
      null,
      null,
    ]);
    sent();
  });

  it('with a script is JSON for the caller, of which no browser makes a page', async () => {
    stub.answer = (response) =>
      response.writeHead(200, { 'content-type': 'text/html' }).end('<script>alert(1)</script>');
    const { headers } = await post({ channel: 'json', message: 'a' });
    expect(headers.get('content-type')).toMatch(/^application\/(problem\+)?json/);
    expect(headers.get('x-content-type-options')).toBe('nosniff');
    sent();
  });

  it('with __proto__ changes no object of the gateway', async () => {
    stub.answer = (response) =>
      response
        .writeHead(200, { 'content-type': 'application/json' })
        .end('{"ok":true,"response":"a","__proto__":{"paidAccess":true},"constructor":{"prototype":{"role":"admin"}}}');
    expect((await post({ channel: 'json', message: 'a' })).status).toBe(200);
    expect(outcomeOf(await arena.send('GET', '/auth/users', arena.mallory.bearer))).toBe('403 forbidden');
    sent();
  });
});
