import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { inParallel, login, postMessage, setFaults, statsOf } from '../../../test/support/client.js';
import type { Stack } from '../../../test/support/stack.js';
import { freePort } from '../../../tools/stack/free-port.js';
import { waitUntil } from '../../../tools/stack/wait-until.js';
import { quotaOf } from './quota-of.js';
import { recovered, recoveredOnce } from './recover.js';
import { startWithProviders } from './start-with-providers.js';
import { startStubProvider, type StubProvider } from './stub-provider.js';

const TIMEOUT_MS = 400;

let stack: Stack;
let gateway: string;
let paid: string;
let free: string;
let stub: StubProvider;
let closedPort: number;

beforeAll(async () => {
  const stubPort = await freePort();
  closedPort = await freePort();
  stub = await startStubProvider(stubPort);
  stack = await startWithProviders(
    `
currency: EUR
channels:
  default: { providers: [dear, closed, free, stub] }
  free: { providers: [free] }
  dear: { providers: [dear] }
  closed: { providers: [closed] }
providers:
  - { name: dear, url: "\${PAID_PROVIDER_URL}", priceMicros: 900, timeoutMs: ${TIMEOUT_MS} }
  - { name: closed, url: "http://127.0.0.1:${closedPort}/messages", priceMicros: 100, timeoutMs: ${TIMEOUT_MS},
      quota: { policy: count-then-block, limit: 1000, blockMs: 60000 } }
  - { name: free, url: "\${FREE_PROVIDER_URL}", priceMicros: 0, timeoutMs: ${TIMEOUT_MS},
      quota: { policy: count-then-block, limit: 1000, blockMs: 60000 } }
  - { name: stub, url: "http://127.0.0.1:${stubPort}/v1/send?tenant=7", priceMicros: 5000,
      headers: { authorization: "Bearer \${STUB_KEY:-sesame}" } }
`,
    { env: { FREE_LIMIT: '1000' } },
  );
  gateway = stack.origin.gateway;
  [paid, free] = await Promise.all([login(gateway, 'paid@octo.local'), login(gateway, 'free@octo.local')]);
});
afterAll(async () => {
  await stack.stop();
  await stub.stop();
});
// The tests before this one may have made the gateway pause accounts.
beforeEach(async () => {
  await Promise.all([setFaults(stack.origin.free, {}), setFaults(stack.origin.paid, {})]);
  await recovered(gateway, paid, 'free');
  await recovered(gateway, paid, 'dear');
  await recoveredOnce(gateway, paid, 'closed', closedPort);
  stub.requests.length = 0;
});

const outcomes = (body: { attempts?: { provider: string; outcome: string }[] }) =>
  body.attempts?.map(({ provider, outcome }) => `${provider} ${outcome}`);

describe('a provider whose connection is refused', () => {
  beforeEach(() => setFaults(stack.origin.free, { errorRate: 1 }));

  it('leaves the message to the next provider', async () => {
    const { status, body } = await postMessage(gateway, paid);
    expect(status).toBe(200);
    expect(outcomes(body)).toEqual(['free failed', 'closed failed', 'dear delivered']);
  });

  it('gets back every slot of its quota', async () => {
    const used = async () => (await quotaOf(gateway, paid, 'closed')).used;
    const before = await used();
    const answers = await inParallel(12, 4, () => postMessage(gateway, paid));
    const failed = answers.filter(({ body }) => outcomes(body)?.includes('closed failed'));
    // Then the gateway pauses the account.
    expect(failed.length).toBeGreaterThanOrEqual(5);
    // The pod answers the message before it gives the slot back.
    await waitUntil(async () => (await used()) === before, { what: 'every slot is given back' });
  });
});

describe('a provider that fails', () => {
  it.each([
    ['answers 500', { errorRate: 1 }, 'free failed'],
    ['drops the connection', { dropRate: 1 }, 'free unknown'],
    ['loses its reply', { loseReplyRate: 1 }, 'free unknown'],
    ['answers with an invalid body', { nonsenseRate: 1 }, 'free failed'],
    ['does not answer in time', { latencyMs: TIMEOUT_MS * 3 }, 'free unknown'],
  ])('because it %s leaves the message to the next provider', async (_what, faults, outcome) => {
    await setFaults(stack.origin.free, faults);
    const { status, body } = await postMessage(gateway, paid);
    expect(status).toBe(200);
    expect(outcomes(body)).toEqual([outcome, 'closed failed', 'dear delivered']);
    expect(body.costMicros).toBe(900);
  });

  it('makes the gateway answer 502 when it is the only one allowed', async () => {
    await setFaults(stack.origin.free, { errorRate: 1 });
    const { status, body } = await postMessage(gateway, free);
    expect({ status, code: body.code }).toEqual({ status: 502, code: 'provider_failed' });
    expect(body.detail).toContain('free');
  });

  it('makes the gateway answer 504 when it is the only one allowed and does not answer in time', async () => {
    await setFaults(stack.origin.free, { latencyMs: TIMEOUT_MS * 3 });
    const { status, body } = await postMessage(gateway, free);
    expect({ status, code: body.code }).toEqual({ status: 504, code: 'provider_timeout' });
  });

  it('causes a problem without addresses, stack traces or error codes', async () => {
    await setFaults(stack.origin.free, { errorRate: 1 });
    const { body } = await postMessage(gateway, free);
    expect(JSON.stringify(body)).not.toMatch(/127\.0\.0\.1|localhost|at \w+ \(|ECONN/);
  });

  it('is followed by the others in price order, until one delivers', async () => {
    await setFaults(stack.origin.free, { errorRate: 1 });
    await setFaults(stack.origin.paid, { errorRate: 1 });
    const { body } = await postMessage(gateway, paid);
    expect(outcomes(body)).toEqual(['free failed', 'closed failed', 'dear failed', 'stub delivered']);
  });
});

describe('a provider outside this project', () => {
  it('needs only its entry in the providers file, and gets its path and headers, the message id and the trace', async () => {
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
      provider: 'stub',
      response: 'from the stub',
      costMicros: 5_000,
      currency: 'EUR',
    });
    expect(stub.requests).toHaveLength(1);
    expect(stub.requests[0]).toMatchObject({
      path: '/v1/send?tenant=7',
      headers: {
        authorization: 'Bearer sesame',
        'idempotency-key': body.id,
        'x-request-id': 'call-7',
        traceparent: expect.stringMatching(new RegExp(`^00-${traceId}-(?!00f067aa0ba902b7)[0-9a-f]{16}-01$`)),
      },
    });
  });
});

describe('a message whose reply was lost', () => {
  it('uses one slot in the gateway and at the provider', async () => {
    const used = async () => (await quotaOf(gateway, paid)).used ?? 0;
    const before = { used: await steady(used), accepted: (await statsOf(stack.origin.free)).accepted };
    await setFaults(stack.origin.free, { loseReplyRate: 1 });
    await postMessage(gateway, paid);
    expect((await steady(used)) - before.used).toBe(1);
    expect((await statsOf(stack.origin.free)).accepted - before.accepted).toBe(1);
  });
});

/** A pod returns spare permits, and delivers what settled, up to a second later. */
const SETTLED_MS = 1_500;

async function steady(read: () => Promise<number>): Promise<number> {
  let last = await read();
  let sinceMs = performance.now();
  const isSteady = async (): Promise<boolean> => {
    const now = await read();
    if (now !== last) sinceMs = performance.now();
    last = now;
    return performance.now() - sinceMs >= SETTLED_MS;
  };
  await waitUntil(isSteady, { what: 'the count is steady', everyMs: 100 });
  return last;
}
