// The minimum of a proxy in Node: forwards each request over a pool of connections, and the answer back.
// `UPSTREAM=http://host:port node bare-proxy.js`.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { Pool } from 'undici';
import { listen } from '../listen.js';

const upstream = new Pool(process.env['UPSTREAM'] ?? '');

const server = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => void forward(request, Buffer.concat(chunks), response));
});
process.send?.({ url: await listen(server) });
process.once('disconnect', () => process.exit(0));

async function forward(request: IncomingMessage, body: Buffer, response: ServerResponse): Promise<void> {
  const {
    statusCode,
    headers,
    body: answer,
  } = await upstream.request({
    method: 'POST',
    path: request.url ?? '/',
    headers: { 'content-type': 'application/json' },
    body,
  });
  const contentType = String(headers['content-type']);
  const bytes = Buffer.from(await answer.arrayBuffer());
  response.writeHead(statusCode, { 'content-type': contentType, 'content-length': bytes.length }).end(bytes);
}
