import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { finished, login, postMessage, recordOf, setFaults, statsOf } from '../../../test/support/client.js';
import { type Stack, startStack } from '../../../test/support/stack.js';

let stack: Stack;

beforeAll(async () => {
  stack = await startStack({ pods: 2, hasDisk: true, env: { FREE_LIMIT: '5', FREE_BLOCK_MS: '1000' } });
});
afterAll(() => stack.stop());

const withKey = () => ({ 'idempotency-key': randomUUID() });

it('a stack with a disk keeps idempotency keys and delivers waiting messages after a restart', async () => {
  const cookie = await login(stack.origin.gateway);
  const key = withKey();
  const first = await postMessage(stack.origin.gateway, cookie, { message: 'once' }, key);
  const lateKey = withKey();
  const late = { message: 'late', deliverBy: new Date(Date.now() + 60_000).toISOString(), paid: 'never' };
  await setFaults(stack.origin.free, { errorRate: 1 });
  const waiting = await postMessage(stack.origin.gateway, cookie, late, { ...lateKey, prefer: 'respond-async' });
  expect([first.status, waiting.status]).toEqual([200, 202]);

  stack = await stack.restart();
  const { gateway, free, paid } = stack.origin;
  const again = await login(gateway);
  for (const pod of stack.gateways) {
    const { status, body } = await postMessage(pod, again, { message: 'once' }, key);
    expect({ status, body }).toEqual({ status: 200, body: first.body });
  }
  const id = waiting.body.id ?? '';
  expect(await finished(gateway, again, id)).toMatchObject({ status: 'delivered', provider: 'free' });
  expect((await postMessage(gateway, again, late, lateKey)).body.id).toBe(id);
  expect((await recordOf(gateway, again, first.body.id ?? '')).body).toMatchObject({ status: 'delivered' });
  // The providers count from zero after the restart: only the waiting message was sent since.
  expect((await statsOf(free)).accepted + (await statsOf(paid)).accepted).toBe(1);
});
