import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer as createTlsServer } from 'node:tls';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { call, inParallel, login, type MessageAnswer, postMessage, recordOf } from '../../../test/support/client.js';
import type { Stack } from '../../../test/support/stack.js';
import { freePort } from '../../../tools/stack/free-port.js';
import { waitUntil } from '../../../tools/stack/wait-until.js';
import { certificateFor } from './certificate.js';
import { paced } from './paced.js';
import { quotaOf } from './quota-of.js';
import { startWithProviders } from './start-with-providers.js';
import { startStubProvider, type StubProvider } from './stub-provider.js';

/** A server of bytes, whose answer a test chooses. */
interface WireStub {
  port: number;
  requests: { atMs: number; head: string }[];
  stop: () => Promise<void>;
}

/** @param times how many requests this connection has brought, this one included */
type OnRequest = (socket: Socket, times: number, stub: WireStub) => unknown;

const MEBIBYTE = 1_048_576;
const SMALL = JSON.stringify({ ok: true, response: 'a' });
const withLength = (body: string | Buffer, headers = '', status = '200 OK'): Buffer =>
  Buffer.concat([
    Buffer.from(`HTTP/1.1 ${status}\r\n${headers}content-length: ${Buffer.byteLength(body)}\r\n\r\n`),
    Buffer.from(body),
  ]);
/** A JSON answer of exactly this many bytes. */
const ofBytes = (bytes: number): string => JSON.stringify('x'.repeat(bytes - 2));
const writes =
  (answer: string | Buffer): OnRequest =>
  (socket) =>
    socket.write(answer);
const writesAndEnds =
  (answer: string | Buffer): OnRequest =>
  (socket) =>
    socket.end(answer);

const PROBE_REASON = expect.stringMatching(/^no answer to a probe within \d+ ms$/);
const QUOTA = { quota: { policy: 'fixed-window', limit: 1_000, windowMs: 600_000 } };
const ANY = { text: '{{ message }}' };
let recovers = false;
let sentBytes = 0;

/** Providers by name: their fields in the providers file, and what they do with a request. */
const WIRE: Record<string, [fields: object, onRequest: OnRequest]> = {
  hanging: [
    { timeoutMs: 2_000 },
    (socket) => {
      if (recovers) socket.write(withLength(SMALL));
    },
  ],
  'hanging-for-good': [{ timeoutMs: 3_000 }, () => {}],
  'hanging-in-a-channel-that-stops': [{ timeoutMs: 400 }, () => {}],
  // Two requests without an answer, then answers that are later than a probe waits.
  'late-for-its-probe': [
    { timeoutMs: 2_000 },
    (socket, _times, { requests }) => {
      if (requests.length > 2) setTimeout(() => socket.write(withLength(SMALL)), 700);
    },
  ],
  'closing-kept-alive': [
    { idempotent: true },
    (socket, times) => (times === 1 ? socket.write(withLength(SMALL)) : socket.destroy()),
  ],
  huge: [{}, writeHuge],
  'http-1-0': [ANY, writesAndEnds('HTTP/1.0 200 OK\r\ncontent-type: text/plain\r\n\r\nold')],
  'no-content': [ANY, writes('HTTP/1.1 204 No Content\r\n\r\n')],
  'early-hints': [
    ANY,
    writes(Buffer.concat([Buffer.from('HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n'), withLength('"hinted"')])),
  ],
  'invalid-utf-8': [ANY, writes(withLength(Buffer.from([0x61, 0xff, 0xfe, 0x62])))],
  'nul-and-surrogate': [ANY, writes(withLength('{"text":"a\\u0000b\\ud800"}'))],
  gzip: [ANY, writes(withLength(gzipSync('"zipped"'), 'content-encoding: gzip\r\n'))],
  'exactly-1-mib': [ANY, writes(withLength(ofBytes(MEBIBYTE)))],
  'gzip-of-garbage': [ANY, writes(withLength('garbage', 'content-encoding: gzip\r\n'))],
  'gzip-bomb': [ANY, writes(withLength(gzipSync(Buffer.alloc(50 * MEBIBYTE)), 'content-encoding: gzip\r\n'))],
  'unknown-coding': [ANY, writes(withLength('x', 'content-encoding: compress\r\n'))],
  'over-1-mib': [ANY, writes(withLength(ofBytes(MEBIBYTE + 1)))],
  'not-json': [{}, writes(withLength('<html>'))],
  'throwing-answer': [{ ...ANY, response: '$number(body.text)' }, writes(withLength('{"text":"a\\u0000b"}'))],
  'missing-field': [{ ...ANY, response: 'body.id' }, writes(withLength('{}'))],
  'redirect-loop': [ANY, writes(withLength('', 'location: /send\r\n', '302 Found'))],
  'hang-in-body': [{ ...ANY, timeoutMs: 500 }, writes('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf')],
  'garbage-chunk': [ANY, writes('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nnot a chunk\r\n')],
  'garbage-status': [ANY, writes('SMTP ready\r\n\r\n')],
  'throwing-request': [{ text: '{{ $number(message) }}' }, writes(withLength(SMALL))],
  'injected-header': [{ ...ANY, headers: { 'x-subject': '{{ message }}' } }, writes(withLength(SMALL))],
};
/** Providers that no connection reaches, and why. */
const UNREACHABLE = [
  ['https-to-http', 'TLS handshake failed'],
  ['https-closing', 'connection reset'],
  ['not-valid-yet', 'certificate is not valid yet'],
  ['unreachable', 'network unreachable'],
  ['refused-on-both-families', 'connection refused'],
  ['no-such-host', 'host name'],
  ['certificate-for-another-host', 'certificate is for another host'],
  ['certificate-of-no-authority', 'certificate is self-signed'],
  ['silent-tls', 'connect timeout'],
] as const;

const stubs: Record<string, WireStub> = {};
const closers: (() => unknown)[] = [];
let dir: string;
let paidStub: StubProvider;
let basic: StubProvider;
let stack: Stack;
let gateway: string;
let cookie: string;
let freeOnly: string;

beforeAll(async () => {
  for (const [name, [, onRequest]] of Object.entries(WIRE)) stubs[name] = await startWireStub(onRequest);
  paidStub = await startStubProvider();
  basic = await startStubProvider();
  dir = mkdtempSync(join(tmpdir(), 'octo-wire-'));
  const wire = Object.entries(WIRE).map(([name, [fields]]) =>
    free(name, `http://127.0.0.1:${stubs[name]?.port}/send`, fields),
  );
  const providers = [
    ...wire,
    ...(await tlsProviders()),
    free('basic', basic.origin.replace('//', '//user%40x:p%25ss@'), {}),
    // Long: a busy machine must not look like a slow provider.
    { name: 'paid', priceMicros: 2_500, url: paidStub.origin, timeoutMs: 60_000 },
  ];
  const channels = Object.fromEntries(
    providers.flatMap(({ name }) => [
      [name, { providers: [name] }],
      [`${name}-or-paid`, { providers: [name, 'paid'] }],
      [`${name}-then-stop`, { providers: [name, 'paid'], onNoAnswer: 'stop' }],
    ]),
  );
  stack = await startWithProviders(JSON.stringify({ currency: 'USD', channels, providers }), {
    env: { NODE_EXTRA_CA_CERTS: join(dir, 'certificate.pem') },
  });
  gateway = stack.origin.gateway;
  [cookie, freeOnly] = await Promise.all([login(gateway), login(gateway, 'free@octo.local')]);
  // The first messages of a process take longer than the limits that tests here have for a message.
  await inParallel(50, 5, () => send('basic-or-paid'));
});
afterAll(async () => {
  await stack.stop();
  await Promise.all([...Object.values(stubs), paidStub, basic].map((stub) => stub.stop()));
  for (const close of closers) close();
  rmSync(dir, { recursive: true, force: true });
});

function free(name: string, url: string, fields: object) {
  return { name, priceMicros: 0, url, timeoutMs: 5_000, ...QUOTA, ...fields };
}

async function tlsProviders() {
  const { cert, key } = certificateFor(new Date('2090-01-01'), new Date('2100-01-01'));
  const [trusted, untrusted] = [1, 2].map(() => certificateFor(new Date('2020-01-01'), new Date('2100-01-01')));
  writeFileSync(join(dir, 'certificate.pem'), `${cert}${trusted?.cert}`);
  const portOf = async (server: Server): Promise<number> => {
    server.on('error', () => undefined).listen(0, '127.0.0.1');
    await once(server, 'listening');
    closers.push(() => server.close());
    return (server.address() as { port: number }).port;
  };
  const closing = await portOf(createServer((socket) => socket.destroy()));
  const tlsPort = (options: object): Promise<number> =>
    portOf(createTlsServer(options, (socket) => socket.on('error', () => undefined).destroy()));
  const notValidYet = await tlsPort({ cert, key });
  const silent = await portOf(createServer((socket) => closers.push(() => socket.destroy())));
  const urls: Record<(typeof UNREACHABLE)[number][0], string> = {
    'https-to-http': `https://127.0.0.1:${Number(new URL(paidStub.origin).port)}/send`,
    'https-closing': `https://127.0.0.1:${closing}/send`,
    'not-valid-yet': `https://127.0.0.1:${notValidYet}/send`,
    // The broadcast address: no route leads there.
    unreachable: 'http://255.255.255.255/send',
    'no-such-host': 'https://nowhere.invalid/send',
    'certificate-for-another-host': `https://localhost:${await tlsPort({ ...trusted })}/send`,
    'certificate-of-no-authority': `https://127.0.0.1:${await tlsPort({ ...untrusted })}/send`,
    'silent-tls': `https://127.0.0.1:${silent}/send`,
    'refused-on-both-families': `http://localhost:${await freePort()}/send`,
  };
  // A connection may take three quarters of the timeout: far less than all of it, on a busy machine as well.
  const timeoutMs = (name: string): number => (name === 'silent-tls' ? 6_000 : 1_000);
  return UNREACHABLE.map(([name]) => free(name, urls[name], { timeoutMs: timeoutMs(name) }));
}

async function startWireStub(onRequest: OnRequest): Promise<WireStub> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    let times = 0;
    let received = '';
    socket.on('error', () => undefined).on('close', () => sockets.delete(socket));
    socket.on('data', (chunk) => {
      received += chunk.toString('latin1');
      const head = /^([^]*?)\r\n\r\n/.exec(received)?.[1];
      const length = Number(/content-length: (\d+)/i.exec(head ?? '')?.[1] ?? 0);
      if (head === undefined || received.length < head.length + 4 + length) return;
      received = received.slice(head.length + 4 + length);
      times += 1;
      stub.requests.push({ atMs: performance.now(), head });
      onRequest(socket, times, stub);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const stub: WireStub = {
    port: (server.address() as { port: number }).port,
    requests: [],
    stop: async () => {
      server.close();
      for (const socket of sockets) socket.destroy();
      await once(server, 'close');
    },
  };
  return stub;
}

/** 50 MB, as fast as the gateway reads them. */
function writeHuge(socket: Socket): void {
  const chunk = Buffer.alloc(65_536, 'x');
  const bytes = 50_000_000;
  socket.write(`HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${bytes}\r\n\r\n`);
  const write = (): void => {
    while (!socket.destroyed && sentBytes < bytes) {
      sentBytes += chunk.length;
      if (!socket.write(chunk)) return void socket.once('drain', write);
    }
  };
  write();
}

const requestsTo = (name: string) => stubs[name]?.requests ?? [];
const send = (channel: string, as = cookie, message = 'hello'): Promise<MessageAnswer> =>
  postMessage(gateway, as, { message, channel });
const usedOf = async (name: string) => (await quotaOf(gateway, cookie, name)).used;

async function residentBytes(): Promise<number> {
  const { body } = await call<string>(`${gateway}/metrics`);
  return Number(/^process_resident_memory_bytes (\S+)$/m.exec(body)?.[1]);
}

describe('a provider that hangs', () => {
  it.concurrent(
    'gets single probes with growing pauses, and messages again with the first probe that it answers',
    async () => {
      const answers = await paced({ count: 150, everyMs: 100 }, () => send('hanging-or-paid'));
      expect(answers.filter(({ body }) => body.provider !== 'paid')).toEqual([]);
      expect(requestsTo('hanging').length).toBeLessThanOrEqual(8);
      recovers = true;
      await probeOf('hanging', () => send('hanging-or-paid'));
      const later = await inParallel(10, 1, () => send('hanging-or-paid'));
      expect(later.map(({ body }) => body.provider)).toEqual(Array.from({ length: 10 }, () => 'hanging'));
    },
  );

  it.concurrent('makes at most 5 of 200 messages at 10 a second wait for it, and not those that probe it', async () => {
    const answers = await paced({ count: 200, everyMs: 100 }, () => send('hanging-for-good-or-paid'));
    expect(answers.filter(({ body }) => body.provider !== 'paid')).toEqual([]);
    const attempts = answers.flatMap(({ body }) => body.attempts ?? []);
    const reasons = attempts.filter(({ provider }) => provider !== 'paid').map(({ reason }) => reason);
    const isWait = (reason: string | undefined): boolean => reason === 'no answer within 3000 ms';
    const waited = reasons.filter(isWait);
    expect(waited.length).toBeGreaterThan(0);
    expect(waited.length).toBeLessThanOrEqual(5);
    const probes = reasons.filter((reason) => !isWait(reason));
    expect(probes.length).toBeGreaterThan(0);
    for (const reason of probes) expect(reason).toEqual(PROBE_REASON);
  });

  it.concurrent('and answers a probe late gets messages again, and its quota counts the probe', async () => {
    const name = 'late-for-its-probe';
    await inParallel(2, 2, () => send(`${name}-or-paid`));
    const probe = await probeOf(name, () => send(`${name}-or-paid`));
    expect(probe.body).toMatchObject({
      provider: 'paid',
      attempts: [{ outcome: 'unknown', reason: PROBE_REASON }, {}],
    });
    await waitUntil(async () => (await quotaOf(gateway, cookie, name)).state === 'open', { what: 'it is used again' });
    expect((await send(`${name}-or-paid`)).body).toMatchObject({ provider: name });
    await waitUntil(async () => (await usedOf(name)) === requestsTo(name).length, { what: 'each request is counted' });
  });

  it.concurrent('gets a probe that no other provider gets too, where `onNoAnswer` is `stop`', async () => {
    const name = 'hanging-in-a-channel-that-stops';
    await inParallel(2, 2, () => send(`${name}-then-stop`));
    const probe = await probeOf(name, () => send(`${name}-then-stop`));
    expect(probe).toMatchObject({
      status: 504,
      body: { attempts: [{ provider: name, outcome: 'unknown', reason: 'no answer within 400 ms' }] },
    });
  });
});

/** Sends messages until one probes the account. */
async function probeOf(name: string, post: () => Promise<MessageAnswer>): Promise<MessageAnswer> {
  let answer: MessageAnswer | undefined;
  const isProbe = async (): Promise<boolean> => {
    answer = await post();
    return answer.body.attempts?.[0]?.provider === name;
  };
  await waitUntil(isProbe, { what: `a message probes ${name}`, everyMs: 50 });
  if (answer === undefined) throw new Error('no message was sent');
  return answer;
}

describe('a provider that cannot be reached', () => {
  it.each(UNREACHABLE)('because of "%s" fails each of 6 messages with 502, and counts none', async (name, reason) => {
    const answers = await paced({ count: 6, everyMs: 50 }, () => send(name, freeOnly));
    expect(answers[0]).toMatchObject({
      status: 502,
      body: { code: 'provider_failed', attempts: [{ provider: name, outcome: 'failed', httpStatus: null }] },
    });
    expect(answers[0]?.body.attempts?.[0]?.reason).toContain(reason);
    expect(JSON.stringify(answers[0]?.body)).not.toMatch(/127\.0\.0\.1|localhost|255\.255|ECONN|ERR_/);
    expect(answers.map(({ status }) => status)).toEqual([502, 502, 502, 502, 502, 502]);
    await waitUntil(async () => (await usedOf(name)) === 0, { what: 'nothing is counted' });
  });
});

describe('a kept-alive connection that is destroyed when its second request arrives', () => {
  it('costs no payment and no pause: the message is sent again on a fresh connection', async () => {
    const answers = await paced({ count: 10, everyMs: 100 }, () => send('closing-kept-alive-or-paid'));
    expect(answers.map(({ body }) => body.provider)).toEqual(Array.from({ length: 10 }, () => 'closing-kept-alive'));
    expect((await quotaOf(gateway, cookie, 'closing-kept-alive')).state).toBe('open');
  });
});

describe('an answer', () => {
  it('of 50 MB is cut off, fails, and leaves the memory of the gateway as it is', async () => {
    const before = await residentBytes();
    const answer = await send('huge', freeOnly);
    expect(answer).toMatchObject({
      status: 502,
      body: { attempts: [{ outcome: 'failed', httpStatus: 200, reason: 'answer is too large or not readable' }] },
    });
    expect(sentBytes).toBeLessThan(20_000_000);
    expect((await residentBytes()) - before).toBeLessThan(30_000_000);
  });

  it.each([
    ['http-1-0', 'old'],
    ['no-content', ''],
    ['early-hints', 'hinted'],
    ['invalid-utf-8', 'a\ufffd\ufffdb'],
    ['gzip', 'zipped'],
    ['nul-and-surrogate', { text: 'a\u0000b\ud800' }],
  ])('of kind "%s" is delivered and recorded', async (name, response) => {
    const { status, body } = await send(name, freeOnly);
    expect({ status, response: body.response }).toEqual({ status: 200, response });
    const record = await recordOf(gateway, freeOnly, body.id ?? '');
    expect(record.body).toMatchObject({ status: 'delivered', response });
  });

  it('of exactly 1 MiB is delivered', async () => {
    const { status, body } = await send('exactly-1-mib', freeOnly);
    expect({ status, length: body.response?.length }).toEqual({ status: 200, length: MEBIBYTE - 2 });
  });

  it.each([
    ['gzip-of-garbage', 'answer is too large or not readable'],
    ['gzip-bomb', 'answer is too large or not readable'],
    ['unknown-coding', 'answer is too large or not readable'],
    ['over-1-mib', 'answer is too large or not readable'],
    ['not-json', 'answer is no JSON object'],
    ['throwing-answer', expect.stringContaining('$number(body.text)')],
    ['missing-field', 'answer lacks what "response" names'],
    ['redirect-loop', 'HTTP 302: redirects are not followed'],
  ])('of kind "%s" fails with the reason in the record', async (name, reason) => {
    const { status, body } = await send(name, freeOnly);
    expect({ status, code: body.code }).toEqual({ status: 502, code: 'provider_failed' });
    expect(body.attempts).toMatchObject([{ provider: name, outcome: 'failed', reason }]);
    const record = await recordOf(gateway, freeOnly, body.id ?? '');
    expect(record.body).toMatchObject({ status: 'failed', attempts: body.attempts });
    expect(requestsTo(name)).toHaveLength(1);
  });

  it.each(['hang-in-body', 'garbage-chunk', 'garbage-status'])('of kind "%s" is unknown, and counts', async (name) => {
    const { status, body } = await send(name, freeOnly);
    expect({ status, code: body.code }).toEqual({ status: 504, code: 'provider_timeout' });
    expect(body.attempts).toMatchObject([{ provider: name, outcome: 'unknown' }]);
    expect(await usedOf(name)).toBe(1);
  });
});

describe('a request', () => {
  it.each([
    ['whose expression throws', 'throwing-request', 'not a number'],
    ['whose header would get a line break', 'injected-header', 'a\r\nx-admin: yes'],
    ['whose header would get a character beyond ASCII', 'injected-header', 'ü'],
  ])('%s is not sent and not counted, and the message goes to the next provider', async (_what, name, message) => {
    const { body } = await send(`${name}-or-paid`, cookie, message);
    expect(body).toMatchObject({
      provider: 'paid',
      attempts: [{ provider: name, outcome: 'failed', httpStatus: null, reason: expect.any(String) }, {}],
    });
    expect(requestsTo(name)).toEqual([]);
    await waitUntil(async () => (await usedOf(name)) === 0, { what: 'nothing is counted' });
  });

  it('with credentials in its URL has them as Basic authorization', async () => {
    expect((await send('basic', freeOnly)).status).toBe(200);
    expect(basic.requests[0]).toMatchObject({
      path: '/',
      headers: { authorization: `Basic ${Buffer.from('user@x:p%ss').toString('base64')}` },
    });
  });
});
