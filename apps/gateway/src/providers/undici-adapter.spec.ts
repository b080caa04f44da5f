import { afterEach, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { Axios } from 'axios';
import { type Answer, Outgoing, TimeoutError, undiciAdapter } from './undici-adapter.js';

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
  const made = undiciAdapter(`http://127.0.0.1:${port}/messages`, timeout);
  ({ close } = made);
  const client = new Axios({ adapter: made.adapter });
  return (data) => client.request<Answer>({ data });
}

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
    const { status, data } = await send(new Outgoing('hällo', ['x-a', '1']));
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
    const { status, data } = await send(new Outgoing('', []));
    expect(status).toBe(429);
    expect(data.headers['retry-after']).toBe('7');
    expect(data.text === text).toBe(true);
  });

  it('reads an answer that begins with a byte order mark', async () => {
    const send = await clientOf((_request, response) => response.end('\ufeff{}'));
    expect((await send(new Outgoing('', []))).data.text).toBe('{}');
  });

  it('gives up when its time is over, and closes the connection', async () => {
    let closed: Promise<unknown> | undefined;
    const send = await clientOf((request) => {
      closed = once(request.socket, 'close');
    }, 50);
    await expect(send(new Outgoing('', []))).rejects.toBeInstanceOf(TimeoutError);
    expect(closed).toBeDefined();
    await closed;
  });

  it('fails for an answer that is too long to be one', async () => {
    const send = await clientOf((_request, response) => response.end('x'.repeat(2_000_000)));
    await expect(send(new Outgoing('', []))).rejects.toMatchObject({ code: 'UND_ERR_RES_EXCEEDED_MAX_SIZE' });
  });

  it('fails for a header that cannot be sent', async () => {
    const send = await clientOf((_request, response) => response.end());
    await expect(send(new Outgoing('', ['x-a', 'one\r\nx-b: two']))).rejects.toMatchObject({
      code: 'UND_ERR_INVALID_ARG',
    });
  });
});
