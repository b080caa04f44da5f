import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Permit } from '#quota';
import { Readiness } from '#service';
import { randomName } from '../../../test/support/stack.js';
import { freePort } from '../../../tools/stack/free-port.js';
import { waitUntil } from '../../../tools/stack/wait-until.js';
import { type Answer, LimitedClient } from './limited-client.js';

let server: Server;
let url: string;
const clients: LimitedClient[] = [];
/** `/200` answers with that status; `/silent` never answers. */
beforeAll(async () => {
  server = createServer((request, response) => {
    if (request.url === '/silent') return;
    const status = Number(request.url?.slice(1));
    response.writeHead(status, status === 429 ? { 'retry-after': '30' } : {}).end(`status ${status}`);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(async () => {
  await Promise.all(clients.map((client) => client.onApplicationShutdown()));
  server.closeAllConnections();
  server.close();
});

/** A client of a service that accepts two requests an hour. */
function newClient({ timeoutMs = 30_000 } = {}): LimitedClient {
  const client = new LimitedClient(
    {
      name: randomName('service'),
      policy: { policy: 'sliding-window', limit: 2, windowMs: 3_600_000 },
      timeoutMs,
      settings: {
        REDIS_URL: process.env['TEST_REDIS_URL'] ?? '',
        QUOTA_WHEN_FORGOTTEN: 'fresh',
        QUOTA_BUDGET_MS: 30_000,
      },
    },
    new Readiness(),
  );
  clients.push(client);
  return client;
}

/** One permit, once Redis is connected. */
async function onePermit(client: LimitedClient): Promise<Permit> {
  let permit: Permit | undefined;
  await waitUntil(async () => ([permit] = (await client.reserve(1)).permits)[0] !== undefined, { what: 'a permit' });
  return permit as Permit;
}

/** Sends, with a new permit whenever the one before expired on a slow machine. */
async function send(client: LimitedClient, target: string): Promise<Answer> {
  const answer = await client.send(await onePermit(client), target);
  return answer.outcome === 'notSent' ? send(client, target) : answer;
}

describe('LimitedClient', () => {
  it('grants as many permits as the service accepts, and says how long to wait', async () => {
    const client = newClient();
    client.giveBack([await onePermit(client)]);
    const { permits, pauseMs } = await client.reserve(5);
    expect(permits).toHaveLength(2);
    expect(pauseMs).toBeGreaterThan(0);
  });

  it('returns the answer, and keeps its slot', async () => {
    const client = newClient();
    for (const status of [200, 500]) {
      expect(await send(client, `${url}/${status}`)).toEqual({ outcome: 'answered', status, body: `status ${status}` });
    }
    expect((await client.reserve(1)).permits).toEqual([]);
    expect(client.blockedForMs).toBeGreaterThan(3_000_000);
  });

  it('gives the slot back when the service cannot be reached', async () => {
    const client = newClient();
    const closed = `http://127.0.0.1:${await freePort()}`;
    for (let tries = 0; tries < 5; tries += 1) expect(await send(client, closed)).toMatchObject({ outcome: 'failed' });
  });

  it('keeps the slot of a request without an answer', async () => {
    const client = newClient({ timeoutMs: 200 });
    for (let tries = 0; tries < 2; tries += 1) {
      expect(await send(client, `${url}/silent`)).toMatchObject({ outcome: 'failed' });
    }
    expect((await client.reserve(1)).permits).toEqual([]);
  });

  it('waits as long as a refusal says', async () => {
    const client = newClient();
    expect(await send(client, `${url}/429`)).toEqual({ outcome: 'refused' });
    await waitUntil(async () => (await client.reserve(1)).permits.length === 0, {
      what: 'the service counts as blocked',
    });
    expect(client.blockedForMs).toBeGreaterThan(20_000);
  });

  it('sends nothing with a permit that has expired', async () => {
    const client = newClient();
    const permit = await onePermit(client);
    await waitUntil(() => performance.now() >= permit.sendByMs, { what: 'the permit expires' });
    expect(await client.send(permit, `${url}/200`)).toEqual({ outcome: 'notSent' });
  });
});
