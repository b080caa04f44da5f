import { afterEach, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { Axios } from 'axios';
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import { createServer as createTcpServer } from 'node:net';
import { type Answer, NotSentError, Outgoing, TimeoutError, undiciAdapter } from './undici-adapter.js';

let server: Server | undefined;
let close: (() => Promise<void>) | undefined;

afterEach(async () => {
  server?.closeAllConnections();
  server?.close();
  await close?.();
});

async function clientOf(
  listener: (request: IncomingMessage, response: ServerResponse) => void,
  timeout = 5_000,
): Promise<(data: Outgoing) => Promise<{ status: number; data: Answer }>> {
  server = createServer(listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const made = undiciAdapter(`http://127.0.0.1:${port}`, timeout);
  ({ close } = made);
  const client = new Axios({ adapter: made.adapter });
  return (data) => client.request<Answer>({ data });
}

const outgoing = (body = '', headers: string[] = []): Outgoing =>
  new Outgoing({ method: 'POST', path: '/messages', headers, body });

describe('undiciAdapter', () => {
  it('sends body and headers as they are given', async () => {
    const send = await clientOf((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () =>
        response.end(
          `${request.method} ${request.url} ${String(request.headers['x-a'])} ${Buffer.concat(chunks).toString()}`,
        ),
      );
    });
    const { status, data } = await send(outgoing('hällo', ['x-a', '1']));
    expect(status).toBe(200);
    expect(data.text).toBe('POST /messages 1 hällo');
  });

  it('reads an answer whose characters are cut by its parts, and its headers', async () => {
    const text = '🐙'.repeat(40_000);
    const send = await clientOf((_request, response) => {
      response.writeHead(429, { 'retry-after': '7' });
      const bytes = Buffer.from(text);
      response.write(bytes.subarray(0, 65_537));
      response.end(bytes.subarray(65_537));
    });
    const { status, data } = await send(outgoing());
    expect(status).toBe(429);
    expect(data.headers['retry-after']).toBe('7');
    expect(data.text === text).toBe(true);
  });

  it('reads an answer that begins with a byte order mark', async () => {
    const send = await clientOf((_request, response) => response.end('\ufeff{}'));
    expect((await send(outgoing())).data.text).toBe('{}');
  });

  it('gives up when its time is over, and closes the connection', async () => {
    let closed: Promise<unknown> | undefined;
    const send = await clientOf((request) => {
      closed = once(request.socket, 'close');
    }, 1_000);
    await expect(send(outgoing())).rejects.toBeInstanceOf(TimeoutError);
    expect(closed).toBeDefined();
    await closed;
  });

  it('fails for an answer that is too large', async () => {
    const send = await clientOf((_request, response) => response.end('x'.repeat(2_000_000)));
    await expect(send(outgoing())).rejects.toMatchObject({ name: 'UnreadableAnswerError', status: 200 });
  });

  it('fails for an answer that is too large once it is decompressed', async () => {
    const body = gzipSync(Buffer.alloc(50_000_000));
    const send = await clientOf((_request, response) => {
      response.writeHead(200, { 'content-encoding': 'gzip' }).end(body);
    }, 60_000);
    await expect(send(outgoing())).rejects.toMatchObject({ name: 'UnreadableAnswerError' });
  });

  it.each([
    ['gzip', gzipSync],
    ['deflate', deflateSync],
    ['br', brotliCompressSync],
  ])('reads an answer that is compressed with %s', async (encoding, compress) => {
    const send = await clientOf((_request, response) => {
      response.writeHead(200, { 'content-encoding': encoding });
      response.end(compress('{"ok":true}'));
    });
    expect((await send(outgoing())).data.text).toBe('{"ok":true}');
  });

  it('reads the final answer after an informational one', async () => {
    const send = await clientOf((_request, response) => {
      response.writeEarlyHints({ link: '</style.css>; rel=preload' });
      response.writeHead(201, { 'x-a': '1' }).end('done');
    });
    expect(await send(outgoing())).toMatchObject({ status: 201, data: { text: 'done', headers: { 'x-a': '1' } } });
  });

  it('fails as not sent for a header that cannot be sent', async () => {
    const send = await clientOf((_request, response) => response.end());
    await expect(send(outgoing('', ['x-a', 'one\r\nx-b: two']))).rejects.toBeDefined();
  });

  it('sends on a fresh connection when asked to', async () => {
    const ports = new Set<number | undefined>();
    const send = await clientOf((request, response) => {
      ports.add(request.socket.remotePort);
      response.end();
    });
    const { request } = outgoing();
    await send(outgoing());
    await send(new Outgoing(request, true));
    await send(outgoing());
    expect(ports.size).toBe(2);
  });
});

describe('a request that no connection takes', () => {
  async function failureOf(origin: string, timeoutMs = 1_000): Promise<Error> {
    const made = undiciAdapter(origin, timeoutMs);
    ({ close } = made);
    const client = new Axios({ adapter: made.adapter });
    return client.request({ data: outgoing() }).then(
      () => new Error('answered'),
      (error: Error) => error,
    );
  }

  async function tcpServer(onConnection: (socket: import('node:net').Socket) => void): Promise<number> {
    const listener = createTcpServer(onConnection).listen(0, '127.0.0.1');
    await once(listener, 'listening');
    server = { closeAllConnections: () => {}, close: () => listener.close() } as unknown as Server;
    const address = listener.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  it('is not sent when the connection is refused', async () => {
    const port = await tcpServer(() => {});
    server?.close();
    const error = await failureOf(`http://127.0.0.1:${port}`);
    expect(error).toBeInstanceOf(NotSentError);
    expect(error.message).toBe('connection refused');
  });

  it('is not sent when TLS meets a plain server, or one that closes', async () => {
    const plain = await tcpServer((socket) =>
      socket.once('data', () => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')),
    );
    const error = await failureOf(`https://127.0.0.1:${plain}`);
    expect(error).toMatchObject({ name: 'NotSentError', message: 'TLS handshake failed' });
    server?.close();
    const closing = await tcpServer((socket) => socket.destroy());
    expect(await failureOf(`https://127.0.0.1:${closing}`)).toBeInstanceOf(NotSentError);
  });

  it('is not sent when the host name cannot be resolved', async () => {
    expect(await failureOf('http://nowhere.invalid')).toBeInstanceOf(NotSentError);
  });
});
