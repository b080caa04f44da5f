import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from '@jest/globals';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { createAdapter, DEFAULT_HTTP } from '#service';
import { waitUntil } from '../../../tools/stack/wait-until.js';
import { forwardToAuth } from './auth-proxy.js';

@Module({})
class NoRoutes {}

let auth: Server;
let gateway: NestFastifyApplication;
afterEach(async () => {
  await gateway.close();
  auth.close();
});

/** A gateway in front of an auth that answers every request with this status, or never, and what auth received. */
async function forwardTo(status: number | undefined): Promise<{ url: string; received: IncomingMessage[] }> {
  const received: IncomingMessage[] = [];
  auth = createServer((request, response) => {
    received.push(request);
    if (status !== undefined) response.writeHead(status).end();
  }).listen(0, '127.0.0.1');
  await once(auth, 'listening');
  gateway = await NestFactory.create<NestFastifyApplication>(NoRoutes, createAdapter(DEFAULT_HTTP), {
    logger: false,
    bodyParser: false,
  });
  await forwardToAuth(gateway, `http://127.0.0.1:${(auth.address() as AddressInfo).port}`);
  await gateway.listen(0, '127.0.0.1');
  return { url: await gateway.getUrl(), received };
}

describe('forwardToAuth', () => {
  it.each(['GET', 'HEAD', 'OPTIONS', 'POST'])('sends %s once when auth answers 503', async (method) => {
    const { url, received } = await forwardTo(503);
    const { status } = await fetch(`${url}/auth/me`, { method });
    expect({ status, requests: received.length }).toEqual({ status: 503, requests: 1 });
  });

  it('ends the request to auth when its caller leaves', async () => {
    const { url, received } = await forwardTo(undefined);
    const caller = new AbortController();
    const answer = fetch(`${url}/auth/login`, { method: 'POST', body: '{}', signal: caller.signal });
    await waitUntil(() => received.length === 1, { what: 'auth has the request' });
    caller.abort();
    await expect(answer).rejects.toThrow();
    // Otherwise the timeout ends it after 10 s.
    await waitUntil(() => received[0]?.socket.destroyed === true, { what: 'the request has ended', deadlineMs: 9_000 });
  });

  it('keeps the connection to auth when its caller has the whole answer', async () => {
    const { url, received } = await forwardTo(200);
    for (let request = 0; request < 3; request += 1) {
      await (await fetch(`${url}/auth/me`, { headers: { connection: 'close' } })).text();
    }
    expect(new Set(received.map(({ socket }) => socket.remotePort)).size).toBe(1);
  });

  it('tells auth the host that the caller asked for', async () => {
    const { url, received } = await forwardTo(200);
    await fetch(`${url}/auth/me`);
    expect(received[0]?.headers['x-forwarded-host']).toBe(new URL(url).host);
  });
});
