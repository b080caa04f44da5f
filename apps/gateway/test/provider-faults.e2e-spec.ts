import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { call, inParallel, login, postMessage, setFaults, statsOf } from '../../../test/support/client.js';
import { type Stack, startStack } from '../../../test/support/stack.js';
import { waitUntil } from '../../../tools/stack/wait-until.js';
import { freePort } from '../../../tools/stack/free-port.js';

const TIMEOUT_MS = 400;

let stack: Stack;
let gateway: string;
let paid: string;
let free: string;
let dir: string;
/** A provider written by somebody else: 20 lines of node:http. */
let stranger: Server;
let strangerSaw: IncomingHttpHeaders[] = [];

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'octo-providers-'));
  const downPort = await freePort();
  stranger = createServer((request, response) => {
    strangerSaw.push(request.headers);
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ ok: true, response: 'from a stranger', extra: 1 }));
  });
  await new Promise<void>((resolve) => stranger.listen(0, '127.0.0.1', resolve));
  const { port } = stranger.address() as { port: number };
  const block = 'blockMs: 60000';
  writeFileSync(
    join(dir, 'providers.yaml'),
    `currency: EUR
providers:
  - { name: dear, url: "\${PAID_PROVIDER_URL}", priceMicros: 900, timeoutMs: ${TIMEOUT_MS} }
  - { name: down, url: "http://127.0.0.1:${downPort}/messages", priceMicros: 100, timeoutMs: ${TIMEOUT_MS},
      quota: { policy: count-then-block, limit: 5, ${block} } }
  - { name: free, url: "\${FREE_PROVIDER_URL}", priceMicros: 0, timeoutMs: ${TIMEOUT_MS},
      quota: { policy: count-then-block, limit: 1000, ${block} } }
  - { name: stranger, url: "http://127.0.0.1:${port}/v1/send?tenant=7", priceMicros: 5000,
      headers: { authorization: "Bearer \${STRANGER_KEY:-sesame}" } }
`,
  );
  stack = await startStack({ env: { PROVIDERS_FILE: join(dir, 'providers.yaml'), FREE_LIMIT: '1000' } });
  gateway = stack.origin.gateway;
  [paid, free] = await Promise.all([login(gateway, 'paid@octo.local'), login(gateway, 'free@octo.local')]);
});
afterAll(async () => {
  await stack.stop();
  await new Promise((resolve) => stranger.close(resolve));
  rmSync(dir, { recursive: true, force: true });
});
beforeEach(async () => {
  strangerSaw = [];
  await Promise.all([setFaults(stack.origin.free, {}), setFaults(stack.origin.paid, {})]);
});

const outcomes = (body: { attempts?: { provider: string; outcome: string }[] }) =>
  body.attempts?.map(({ provider, outcome }) => `${provider} ${outcome}`);

async function quotaOf(name: string): Promise<{ name: string; used: number } | undefined> {
  const { body } = await call<{ providers: { name: string; used: number }[] }>(`${gateway}/quota`, {
    headers: { cookie: paid },
  });
  return body.providers.find((provider) => provider.name === name);
}

describe('a provider that cannot be reached', () => {
  beforeEach(() => setFaults(stack.origin.free, { errorRate: 1 }));

  it('costs no message: the next one takes it', async () => {
    const { status, body } = await postMessage(gateway, paid);
    expect(status).toBe(200);
    expect(outcomes(body)).toEqual(['free failed', 'down failed', 'dear delivered']);
  });

  it('keeps its quota: what was never sent is not counted', async () => {
    await inParallel(12, 4, () => postMessage(gateway, paid));
    // A slot is given back at once, but not before its message is answered.
    await waitUntil(async () => (await quotaOf('down'))?.used === 0, { what: 'every slot is given back' });
    expect(await quotaOf('down')).toMatchObject({ state: 'open', used: 0 });
  });
});

describe('a provider in trouble', () => {
  it.each([
    ['answers 500', { errorRate: 1 }, 'free failed'],
    ['drops the connection', { dropRate: 1 }, 'free unknown'],
    ['loses its reply', { loseReplyRate: 1 }, 'free unknown'],
    ['answers nonsense', { nonsenseRate: 1 }, 'free failed'],
    ['does not answer in time', { latencyMs: TIMEOUT_MS * 3 }, 'free unknown'],
  ])('that %s loses no message: the next one takes it', async (_what, faults, outcome) => {
    await setFaults(stack.origin.free, faults);
    const { status, body } = await postMessage(gateway, paid);
    expect(status).toBe(200);
    expect(outcomes(body)).toEqual([outcome, 'down failed', 'dear delivered']);
    expect(body.costMicros).toBe(900);
  });

  it('is answered 502 when nobody is left', async () => {
    await setFaults(stack.origin.free, { errorRate: 1 });
    const { status, body } = await postMessage(gateway, free);
    expect({ status, code: body.code }).toEqual({ status: 502, code: 'provider_failed' });
    expect(body.detail).toContain('free');
  });

  it('is answered 504 when nobody answers in time', async () => {
    await setFaults(stack.origin.free, { latencyMs: TIMEOUT_MS * 3 });
    const { status, body } = await postMessage(gateway, free);
    expect({ status, code: body.code }).toEqual({ status: 504, code: 'provider_timeout' });
  });

  it('shows nothing of the inside in a 5xx', async () => {
    await setFaults(stack.origin.free, { errorRate: 1 });
    const { body } = await postMessage(gateway, free);
    expect(JSON.stringify(body)).not.toMatch(/127\.0\.0\.1|localhost|at \w+ \(|ECONN/);
  });

  it('is answered 200 by the last one that works, in price order', async () => {
    await setFaults(stack.origin.free, { errorRate: 1 });
    await setFaults(stack.origin.paid, { errorRate: 1 });
    const { body } = await postMessage(gateway, paid);
    expect(outcomes(body)).toEqual(['free failed', 'down failed', 'dear failed', 'stranger delivered']);
  });
});

describe('a provider written by somebody else', () => {
  it('works by being named in the providers file, with its path, its key, the message id and the trace', async () => {
    await Promise.all([setFaults(stack.origin.free, { errorRate: 1 }), setFaults(stack.origin.paid, { errorRate: 1 })]);
    const traceId = '4bf92f3577b34da6a3ce929d0e0e4736';
    const { body } = await postMessage(
      gateway,
      paid,
      { message: 'hello' },
      {
        traceparent: `00-${traceId}-00f067aa0ba902b7-01`,
        'x-request-id': 'call-7',
      },
    );
    expect(body).toMatchObject({
      provider: 'stranger',
      response: 'from a stranger',
      costMicros: 5_000,
      currency: 'EUR',
    });
    expect(strangerSaw).toHaveLength(1);
    expect(strangerSaw[0]).toMatchObject({
      authorization: 'Bearer sesame',
      'idempotency-key': body.id,
      'x-request-id': 'call-7',
      traceparent: expect.stringMatching(new RegExp(`^00-${traceId}-(?!00f067aa0ba902b7)[0-9a-f]{16}-01$`)),
    });
  });
});

describe('a message whose reply was lost', () => {
  it('stays counted by us as it is by the provider', async () => {
    const used = async () => {
      const { body } = await call<{ providers: { name: string; used: number }[] }>(`${gateway}/quota`, {
        headers: { cookie: paid },
      });
      return body.providers.find(({ name }) => name === 'free')?.used ?? 0;
    };
    const before = { ours: await used(), theirs: (await statsOf(stack.origin.free)).accepted };
    await setFaults(stack.origin.free, { loseReplyRate: 1 });
    await postMessage(gateway, paid);
    expect((await used()) - before.ours).toBe(1);
    expect((await statsOf(stack.origin.free)).accepted - before.theirs).toBe(1);
  });
});
