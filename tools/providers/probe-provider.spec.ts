import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readProvidersFile } from '../../apps/gateway/src/providers/providers-file.js';
import { probeProvider } from './probe-provider.js';

let dir: string;
let server: Server;
let answer: (response: ServerResponse) => void;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'octo-probe-'));
  server = createServer((_request, response) => answer(response)).listen(0, '127.0.0.1');
  await once(server, 'listening');
});
afterAll(() => {
  server.close();
  server.closeAllConnections();
  rmSync(dir, { recursive: true });
});

async function probe(respond: typeof answer): Promise<{ isDelivered: boolean; lines: string[] }> {
  answer = respond;
  const path = join(dir, 'providers.yaml');
  const { port } = server.address() as AddressInfo;
  const provider = `{ name: a, priceMicros: 0, url: 'http://127.0.0.1:${port}', text: '{{ message }}', response: body.id, cost: body.cost }`;
  writeFileSync(path, `currency: USD\nproviders: [${provider}]\n`);
  const [only] = readProvidersFile(path, {}).providers;
  if (only === undefined) throw new Error('unreachable: the file has a provider');
  const message = { id: 'id-1', channel: 'default', content: 'hello', requestId: 'r', traceparent: 't' };
  const { isDelivered, text } = await probeProvider(only, message);
  return { isDelivered, lines: text.split('\n').filter((line) => !line.startsWith('time ')) };
}

describe('a probe', () => {
  it('prints what the caller of a delivered message would get, its cost and what counts', async () => {
    expect(await probe((response) => response.end('{"id": 7, "cost": 1500}'))).toEqual({
      isDelivered: true,
      lines: ['outcome  delivered', 'status   200', 'response 7', 'cost     0.0015 USD', 'counts   one request'],
    });
  });

  it('prints the words of a provider that rejects the message', async () => {
    const { isDelivered, lines } = await probe((response) => response.writeHead(422).end('{"message": "no number"}'));
    expect(isDelivered).toBe(false);
    expect(lines).toEqual([
      'outcome  rejected',
      'status   422',
      'reason   HTTP 422',
      'detail   no number',
      'counts   one request, because the provider may have counted it',
    ]);
  });

  it('prints the wait of a refusal', async () => {
    const { lines } = await probe((response) => response.writeHead(429, { 'retry-after': '30' }).end());
    expect(lines).toContain('counts   nothing; the account is blocked for 30 s');
  });

  it('prints that nothing counts when the provider does not accept the key', async () => {
    const { lines } = await probe((response) => response.writeHead(401).end());
    expect(lines).toEqual(['outcome  unauthorized', 'status   401', 'reason   HTTP 401', 'counts   nothing']);
  });
});
