import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { SendResult } from '../src/providers/answer-reader.js';
import { ProviderClient } from '../src/providers/provider-client.js';
import { type Provider, readProvidersFile } from '../src/providers/providers-file.js';

/** Servers that speak bytes instead of HTTP, and the gateway's client for them. */
/** Long: a busy machine must not look like a slow provider. */
const TIMEOUT_MS = 60_000;
const client = new ProviderClient();
const sockets = new Set<Socket>();
const servers: Server[] = [];

export async function closeByteServers(): Promise<void> {
  await client.closeAllBut([]);
  for (const socket of sockets) socket.destroy();
  await Promise.all(servers.splice(0).map((server) => new Promise((resolve) => server.close(resolve))));
}

/** No server takes a new connection from now on. */
export function stopListening(): void {
  for (const server of servers) server.close();
}

export async function portOf(onConnection: (socket: Socket) => void): Promise<number> {
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined).on('close', () => sockets.delete(socket));
    onConnection(socket);
  });
  servers.push(server.listen(0, '127.0.0.1'));
  await once(server, 'listening');
  return (server.address() as { port: number }).port;
}

/** @param times how many connections the server has had, this one included */
export type OnRequest = (socket: Socket, times: number) => unknown;

export async function listen(onRequest: OnRequest, isEarly = false): Promise<number> {
  let times = 0;
  return portOf((socket) => {
    times += 1;
    let received = '';
    socket.on('data', (chunk) => {
      received += chunk.toString('latin1');
      if (!isEarly && !received.endsWith('end of the body')) return;
      received = '';
      onRequest(socket, times);
    });
  });
}

export function providerAt(port: number, fields: object = {}, env: NodeJS.ProcessEnv = {}): Provider {
  const dir = mkdtempSync(join(tmpdir(), 'octo-client-'));
  try {
    const path = join(dir, 'providers.yaml');
    const url = `http://127.0.0.1:${port}/send`;
    const provider = { name: 'odd', priceMicros: 0, timeoutMs: TIMEOUT_MS, url, text: '{{ message }}', ...fields };
    // JSON is YAML.
    writeFileSync(path, JSON.stringify({ currency: 'USD', providers: [provider] }));
    const [only] = readProvidersFile(path, env).providers;
    if (only === undefined) throw new Error('the file has no provider');
    return only;
  } finally {
    rmSync(dir, { recursive: true });
  }
}

export async function sendTo(provider: Provider, content = 'end of the body'): Promise<SendResult> {
  const message = { id: 'id-1', channel: 'default', content, requestId: 'r', traceparent: 't' };
  return client.send(provider, await client.render(provider, message));
}

/** Writes a part of an answer again and again until the client leaves. */
export function trickle(socket: Socket, part: string | (() => string), everyMs: number): void {
  const timer = setInterval(() => socket.write(typeof part === 'string' ? part : part()), everyMs);
  socket.once('close', () => clearInterval(timer));
}

/** As fast as the client reads. */
export function flood(socket: Socket, part: string): void {
  const write = (): void => {
    while (!socket.destroyed) if (!socket.write(part)) return void socket.once('drain', write);
  };
  write();
}

export const CHUNKED = 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n';
export const answer = (body: string | Buffer, headers = '', status = '200 OK'): Buffer =>
  Buffer.concat([
    Buffer.from(`HTTP/1.1 ${status}\r\n${headers}content-length: ${body.length}\r\n\r\n`),
    Buffer.from(body),
  ]);
