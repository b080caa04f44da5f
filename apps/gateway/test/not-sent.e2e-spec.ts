import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { inParallel, login, postMessage, recordOf } from '../../../test/support/client.js';
import type { Stack } from '../../../test/support/stack.js';
import { freePort } from '../../../tools/stack/free-port.js';
import { waitUntil } from '../../../tools/stack/wait-until.js';
import { quotaOf } from './quota-of.js';
import { startWithProviders } from './start-with-providers.js';
import { startStubProvider } from './stub-provider.js';

let port: number;
let stack: Stack;
let cookie: string;

beforeAll(async () => {
  port = await freePort();
  stack = await startWithProviders(
    `
currency: USD
providers:
  - { name: stub, url: 'http://127.0.0.1:${port}/messages', priceMicros: 0, timeoutMs: 2000,
      quota: { policy: count-then-block, limit: 50, blockMs: 60000 } }
`,
    { pods: 2 },
  );
  cookie = await login(stack.origin.gateway, 'free@octo.local');
});
afterAll(() => stack.stop());

describe('a message with an idempotency key whose provider has its port closed', () => {
  const key = { 'idempotency-key': randomUUID() };
  const post = (pod = stack.origin.gateway) => postMessage(pod, cookie, { message: 'once' }, key);
  const used = async () => (await quotaOf(stack.origin.gateway, cookie, 'stub')).used;

  it('fails with 502, and the same request sends it exactly once when the port is open', async () => {
    const failed = await post();
    expect(failed).toMatchObject({
      status: 502,
      body: { attempts: [{ provider: 'stub', outcome: 'failed', reason: 'connection refused' }] },
    });
    const record = await recordOf(stack.origin.gateway, cookie, failed.body.id ?? '');
    expect(record).toMatchObject({ status: 200, body: { status: 'failed', attempts: failed.body.attempts } });
    await waitUntil(async () => (await used()) === 0, { what: 'the slot is given back' });

    // Requests at the same time must not leave the key taken: each is answered by its own failure or by 409.
    const burst = await inParallel(20, 20, (index) => post(stack.gateways[index % 2]));
    expect(burst.filter(({ status }) => status !== 502 && status !== 409)).toEqual([]);

    const stub = await startStubProvider(port);
    try {
      const answers = await inParallel(20, 20, (index) => post(stack.gateways[index % 2]));
      const delivered = answers.filter(({ status }) => status === 200);
      expect(answers.filter(({ status }) => status !== 200 && status !== 409)).toEqual([]);
      const again = await post();
      expect(again).toMatchObject({ status: 200, body: { status: 'delivered', provider: 'stub' } });
      expect(again.body.id).not.toBe(failed.body.id);
      expect(new Set(delivered.map(({ body }) => body.id))).toEqual(new Set([again.body.id]));
      expect(stub.requests.map(({ headers }) => headers['idempotency-key'])).toEqual([again.body.id]);
      await waitUntil(async () => (await used()) === 1, { what: 'the quota counts one message' });
    } finally {
      await stub.stop();
    }
  });
});
