import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { MESSAGE_MAX_BYTES } from '#contracts';
import { freePort } from '../tools/stack/free-port.js';
import { waitUntil } from '../tools/stack/wait-until.js';
import { call, login, type MessageAnswer, postMessage, setFaults, statsOf } from './support/client.js';
import { Nginx } from './support/nginx.js';
import { type Stack, startStack } from './support/stack.js';
import { TcpProxy } from '../verification/engines/tcp-proxy.js';

let stack: Stack;
let cookie: string;
let gatewayPort: number;
beforeAll(async () => {
  stack = await startStack({ env: { FREE_LIMIT: '1000' } });
  gatewayPort = Number(new URL(stack.origin.gateway).port);
  cookie = await login(stack.origin.gateway);
});
afterAll(() => stack.stop());

let nginx: Nginx | undefined;
let proxies: TcpProxy[] = [];
afterEach(async () => {
  await nginx?.stop();
  await Promise.all(proxies.map((proxy) => proxy.close()));
  proxies = [];
});

async function inFrontOf(...ports: number[]): Promise<Nginx> {
  nginx = await Nginx.start(ports);
  return nginx;
}

function expectProblem({ status, headers, body }: MessageAnswer, expected: { status: number; code: string }): void {
  expect({ status, code: body.code }).toEqual(expected);
  expect(headers.get('content-type')).toBe('application/problem+json');
  expect(body).toMatchObject({ type: `urn:octo:problem:${expected.code}`, status, instance: '/messages' });
  expect(headers.get('x-request-id')).toBe(body.requestId);
  expect(headers.get('x-content-type-options')).toBe('nosniff');
  expect(headers.get('content-security-policy')).toContain("frame-ancestors 'none'");
}

describe('nginx', () => {
  it.each([
    ['line feeds, 131,086 bytes of JSON', JSON.stringify({ message: '\n'.repeat(MESSAGE_MAX_BYTES) })],
    ['escapes of six bytes', `{"message":"${String.raw`\u000a`.repeat(MESSAGE_MAX_BYTES)}"}`],
  ])('passes the longest message on: %s', async (_what, body) => {
    const { origin } = await inFrontOf(gatewayPort);
    expect((await postMessage(origin, cookie, body)).status).toBe(200);
  });

  it('answers 413 as problem+json when the body exceeds its own limit', async () => {
    const { origin } = await inFrontOf(gatewayPort);
    const answer = await postMessage(origin, cookie, { message: 'x'.repeat(600 * 1024) }, { 'x-request-id': 'my-id' });
    expectProblem(answer, { status: 413, code: 'message_too_large' });
    expect(answer.body.requestId).toBe('my-id');
  });

  it('answers 503 as problem+json with Retry-After when no gateway is up', async () => {
    const { origin } = await inFrontOf(await freePort(), await freePort());
    const answer = await postMessage(origin, cookie);
    expectProblem(answer, { status: 503, code: 'unavailable' });
    expect(answer.headers.get('retry-after')).toBe('1');
  });

  it('answers JSON and a new request id when path and id hold other characters', async () => {
    const { origin } = await inFrontOf(await freePort());
    const { body, headers } = await call<{ instance: string; requestId: string }>(`${origin}/a%22b?c="`, {
      headers: { 'x-request-id': 'with "quotes"' },
    });
    expect(body.instance).toBe('/a%22b');
    expect(body.requestId).toMatch(/^[0-9a-f]{32}$/);
    expect(headers.get('x-request-id')).toBe(body.requestId);
  });

  it('answers 404 as problem+json to /metrics, which the gateway would serve', async () => {
    const { origin } = await inFrontOf(gatewayPort);
    expect((await call(`${stack.origin.gateway}/metrics`)).status).toBe(200);
    for (const path of ['/metrics', '/metrics?a', '/%6detrics', '//metrics']) {
      const { status, body } = await call<{ code: string }>(origin + path);
      expect({ path, status, code: body.code }).toEqual({ path, status: 404, code: 'not_found' });
    }
  });

  it('gives the gateway the request id that it shows itself', async () => {
    const { origin } = await inFrontOf(gatewayPort);
    const { headers } = await postMessage(origin, cookie, undefined, { 'x-request-id': 'my-id' });
    expect(headers.get('x-request-id')).toBe('my-id');
  });

  it('tries another gateway when one was not reached', async () => {
    const { origin } = await inFrontOf(await freePort(), gatewayPort);
    for (let sent = 0; sent < 6; sent += 1) expect((await postMessage(origin, cookie)).status).toBe(200);
  });

  it('does not send a message again when the connection to the gateway breaks', async () => {
    const target = { host: '127.0.0.1', port: gatewayPort };
    proxies = await Promise.all([TcpProxy.to(target), TcpProxy.to(target)]);
    const { origin } = await inFrontOf(...proxies.map(({ port }) => port));
    const { accepted } = await statsOf(stack.origin.free);
    const isSent = async () => (await statsOf(stack.origin.free)).accepted > accepted;
    for (const proxy of proxies) proxy.holdReplies();
    const answer = postMessage(origin, cookie);
    await waitUntil(isSent, { what: 'the message is with the provider' });
    for (const proxy of proxies) proxy.cut();
    expectProblem(await answer, { status: 503, code: 'unavailable' });
    expect((await statsOf(stack.origin.free)).accepted).toBe(accepted + 1);
  });
});

describe('run-nginx.sh', () => {
  it('reloads nginx when the gateways have other addresses, and requests in flight end', async () => {
    const running = await inFrontOf(gatewayPort);
    await setFaults(stack.origin.free, { latencyMs: 1_000 });
    const inFlight = postMessage(running.origin, cookie);
    running.moveGateways([await freePort()]);
    // When nginx reloads, it closes idle connections, also one that this client is about to use.
    const status = () =>
      call(`${running.origin}/health/live`).then(
        (answer) => answer.status,
        () => undefined,
      );
    await waitUntil(async () => (await status()) === 503, { what: 'nginx uses the new address' });
    running.moveGateways([gatewayPort]);
    await waitUntil(async () => (await status()) === 200, { what: 'nginx uses the old address again' });
    expect((await inFlight).status).toBe(200);
    await setFaults(stack.origin.free, { latencyMs: 0 });
  });
});
