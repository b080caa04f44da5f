// A provider that costs as little as Node allows, so that what is measured is what stands in front of it:
// `PORT=… node bench-provider.js`. `POST /free/NAME/messages` announces the quota of that account as the
// reference provider does, `POST /paid/messages` announces nothing; both answer with the text they were sent. `POST /v1/chat/completions` speaks the
// dialect of those gateways that only know that one.
import { createServer, type ServerResponse } from 'node:http';

const MESSAGE = '{"message":';
const COMPLETION = JSON.stringify({
  id: 'chatcmpl-1',
  object: 'chat.completion',
  created: 1_700_000_000,
  model: 'bench',
  choices: [{ index: 0, message: { role: 'assistant', content: 'hello' }, finish_reason: 'stop' }],
  usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 },
});
const LIMIT = Number(process.env['LIMIT']);
const BLOCK_S = 3_600;

/** Of each account of the free provider: what comes before `/messages` in its path. */
const accepted = new Map<string, number>();

const server = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => answer(request.url ?? '', Buffer.concat(chunks), response));
});
server.keepAliveTimeout = 60_000;
server.listen(Number(process.env['PORT'] ?? 0), '127.0.0.1', () => {
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  process.send?.({ url: `http://127.0.0.1:${port}` });
});
process.once('disconnect', () => process.exit(0));

function answer(path: string, body: Buffer, response: ServerResponse): void {
  response.setHeader('content-type', 'application/json');
  if (path.startsWith('/v1/')) return void response.end(COMPLETION);
  if (path.startsWith('/free/')) {
    const count = (accepted.get(path) ?? 0) + 1;
    accepted.set(path, count);
    response.setHeader('ratelimit-policy', `"free";q=${LIMIT};w=${BLOCK_S}`);
    response.setHeader('ratelimit', `"free";r=${Math.max(0, LIMIT - count)}`);
  }
  response.end(Buffer.concat([Buffer.from('{"ok":true,"response":'), body.subarray(MESSAGE.length)]));
}
