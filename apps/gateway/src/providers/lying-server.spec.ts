import { deflateRawSync, gzipSync } from 'node:zlib';
import { afterEach, describe, expect, it } from '@jest/globals';
import {
  answer,
  CHUNKED,
  closeByteServers,
  flood,
  listen,
  type OnRequest,
  providerAt,
  sendTo,
  trickle,
} from '../../test/byte-server.js';

/** Servers that break HTTP: what a send to them ends in, and when. */
const GZIP = 'content-encoding: gzip\r\n';
/** Of providers that never end their answer. */
const SHORT_MS = 1_000;
const NO_ANSWER = `no answer within ${SHORT_MS} ms`;
const DEEP = `${'['.repeat(9_999)}${']'.repeat(9_999)}`;

afterEach(closeByteServers);

describe('a send to a server', () => {
  const CUT = /^connection (reset|closed)$/;
  const UNKNOWN: [string, OnRequest, unknown][] = [
    [
      'sends a header a byte at a time',
      (socket) => {
        socket.write('HTTP/1.1 200 OK\r\nx-a: ');
        trickle(socket, 'x', 20);
      },
      NO_ANSWER,
    ],
    [
      'sends a body a byte at a time',
      (socket) => {
        socket.write('HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n');
        trickle(socket, 'x', 20);
      },
      NO_ANSWER,
    ],
    [
      'sends chunks without end',
      (socket) => {
        socket.write(CHUNKED);
        trickle(socket, '1\r\nx\r\n', 20);
      },
      NO_ANSWER,
    ],
    [
      'sends informational answers without end',
      (socket) => trickle(socket, 'HTTP/1.1 102 Processing\r\n\r\n', 5),
      NO_ANSWER,
    ],
    [
      'sends headers without end',
      (socket) => {
        socket.write('HTTP/1.1 200 OK\r\n');
        flood(socket, `x-a: ${'x'.repeat(1_000)}\r\n`);
      },
      'the headers of the answer are too large',
    ],
    [
      'sends a trailer without end',
      (socket) => {
        socket.write(`${CHUNKED}1\r\nx\r\n0\r\n`);
        trickle(socket, 'x-a: b\r\n', 5);
      },
      NO_ANSWER,
    ],
    [
      'ends the answer before its content-length',
      (socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort'),
      'connection closed',
    ],
    [
      'ends a chunked answer before its last chunk',
      (socket) => socket.end(`${CHUNKED}5\r\nshort\r\n`),
      'connection closed',
    ],
    [
      'resets the connection in the middle of the answer',
      (socket) =>
        socket.write('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort', () => void socket.resetAndDestroy()),
      expect.stringMatching(CUT),
    ],
    ['resets the connection instead of an answer', (socket) => socket.resetAndDestroy(), expect.stringMatching(CUT)],
    ['closes the connection instead of an answer', (socket) => socket.end(), 'connection closed'],
    ['speaks TLS', (socket) => socket.end(Buffer.from([21, 3, 1, 0, 2, 2, 70])), 'connection lost before the answer'],
    [
      'sends two values of content-length',
      (socket) => socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok!'),
      'connection lost before the answer',
    ],
    [
      'switches the protocol',
      (socket) => socket.write('HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n'),
      'connection closed',
    ],
  ];
  it.each(UNKNOWN)('that %s is unknown, within the timeout', async (_what, onRequest, reason) => {
    const provider = providerAt(await listen(onRequest), reason === NO_ANSWER ? { timeoutMs: SHORT_MS } : {});
    const startedMs = performance.now();
    expect(await sendTo(provider)).toMatchObject({
      outcome: 'unknown',
      httpStatus: null,
      reason,
      settlement: { outcome: 'unknown' },
    });
    // Wide: a busy machine fires timers late.
    expect(performance.now() - startedMs).toBeLessThan(SHORT_MS + 20_000);
  });

  const UNREADABLE: [string, OnRequest][] = [
    [
      'sends a truncated gzip body',
      (socket) => socket.write(answer(gzipSync('x'.repeat(9_999)).subarray(0, 30), GZIP)),
    ],
    [
      'sends chunks beyond 1 MiB',
      (socket) => {
        socket.write(CHUNKED);
        flood(socket, `3e8\r\n${'x'.repeat(1_000)}\r\n`);
      },
    ],
    [
      'sends bytes until the connection ends',
      (socket) => {
        socket.write('HTTP/1.0 200 OK\r\n\r\n');
        flood(socket, 'x'.repeat(9_999));
      },
    ],
  ];
  it.each(UNREADABLE)('that %s fails', async (_what, onRequest) => {
    expect(await sendTo(providerAt(await listen(onRequest)))).toMatchObject({
      outcome: 'failed',
      httpStatus: 200,
      reason: 'answer is too large or not readable',
      settlement: { outcome: 'unknown' },
    });
  });

  const READABLE: [string, OnRequest, unknown][] = [
    ['speaks HTTP/1.0 and closes', (socket) => socket.end('HTTP/1.0 200 OK\r\n\r\n"old"'), 'old'],
    [
      'sends more than its content-length',
      (socket) => socket.write(Buffer.concat([answer('"a"'), answer('"b"')])),
      'a',
    ],
    [
      'resets the connection after the answer',
      (socket) => socket.write(answer('"a"'), () => socket.resetAndDestroy()),
      'a',
    ],
    ['says keep-alive and closes', (socket) => socket.end(answer('"a"', 'connection: keep-alive\r\n')), 'a'],
    ['sends header names in capitals', (socket) => socket.write(answer(gzipSync('"a"'), GZIP.toUpperCase())), 'a'],
    [
      'sends bare deflate',
      (socket) => socket.write(answer(deflateRawSync('"a"'), 'content-encoding: deflate\r\n')),
      'a',
    ],
    ['names a coding of an empty body', (socket) => socket.write(`HTTP/1.1 204 No Content\r\n${GZIP}\r\n`), ''],
    [
      'writes Latin-1 and says so',
      (socket) =>
        socket.write(answer(Buffer.from('"é"', 'latin1'), 'content-type: text/json; charset="ISO-8859-1"\r\n')),
      'é',
    ],
    [
      'names a charset that does not exist',
      (socket) => socket.write(answer('"a"', 'content-type: a/b; charset=x\r\n')),
      'a',
    ],
    ['nests JSON deeper than a stack', (socket) => socket.write(answer(DEEP)), DEEP],
    [
      'has brackets in its strings',
      (socket) => socket.write(answer(JSON.stringify(['['.repeat(9_999)]))),
      ['['.repeat(9_999)],
    ],
  ];
  it.each(READABLE)('that %s is delivered', async (_what, onRequest, response) => {
    expect(await sendTo(providerAt(await listen(onRequest)))).toMatchObject({ outcome: 'delivered', response });
  });

  it('that answers before the body has arrived, and closes, has the outcome of that answer', async () => {
    const port = await listen((socket) => socket.end(answer('{"error":"too long"}', '', '413 Too Large')), true);
    expect(await sendTo(providerAt(port), 'x'.repeat(60_000))).toMatchObject({ outcome: 'rejected', httpStatus: 413 });
  });

  it.each([
    ['429 Too Many Requests', 'refused', { outcome: 'refused', announced: { retryAfterMs: 7_000 } }],
    ['401 Unauthorized', 'unauthorized', { outcome: 'notSent' }],
    ['422 Unprocessable Content', 'rejected', { outcome: 'unknown' }],
    ['500 Internal Server Error', 'failed', { outcome: 'unknown' }],
  ])('whose %s has a body that cannot be read has the outcome of its status', async (status, outcome, settlement) => {
    const port = await listen((socket) =>
      socket.write(answer('x', 'retry-after: 7\r\ncontent-encoding: zip\r\n', status)),
    );
    expect(await sendTo(providerAt(port))).toMatchObject({
      outcome,
      httpStatus: Number(status.slice(0, 3)),
      settlement,
    });
  });
});
