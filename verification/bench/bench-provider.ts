// A provider that costs as little as Node allows, so that the measurement shows the gateway in front of it.
// `POST /free/NAME/messages` announces the quota of that account like the reference provider, `POST /paid/messages` announces
// nothing; both answer with the text of the request. `POST /v1/chat/completions` is for gateways that know only that protocol.
import { createServer, type ServerResponse } from 'node:http';
import { listen } from './listen.js';
import { LIMIT_MAX } from './provider-entries.js';

const MESSAGE = '{"message":';
const COMPLETION = JSON.stringify({
  id: 'chatcmpl-1',
  object: 'chat.completion',
  created: 1_700_000_000,
  model: 'bench',
  choices: [{ index: 0, message: { role: 'assistant', content: 'hello' }, finish_reason: 'stop' }],
  usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 },
});
const BLOCK_S = 3_600;

/** Accepted requests of each free account, by path. */
const accepted = new Map<string, number>();

const server = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => answer(request.url ?? '', Buffer.concat(chunks), response));
});
server.keepAliveTimeout = 60_000;
process.send?.({ url: await listen(server) });
process.once('disconnect', () => process.exit(0));

function answer(path: string, body: Buffer, response: ServerResponse): void {
  response.setHeader('content-type', 'application/json');
  if (path.startsWith('/v1/')) return void response.end(COMPLETION);
  if (path.startsWith('/free/')) {
    const count = (accepted.get(path) ?? 0) + 1;
    accepted.set(path, count);
    response.setHeader('ratelimit-policy', `"free";q=${LIMIT_MAX};w=${BLOCK_S}`);
    response.setHeader('ratelimit', `"free";r=${Math.max(0, LIMIT_MAX - count)}`);
  }
  response.end(Buffer.concat([Buffer.from('{"ok":true,"response":'), body.subarray(MESSAGE.length)]));
}
