import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { finished, inParallel, listOf, login, postMessage, setFaults, statsOf } from '../../../test/support/client.js';
import { type Stack, startStack } from '../../../test/support/stack.js';
import { waitUntil } from '../../../tools/stack/wait-until.js';
import { untilFreeIsBlocked, untilFreeIsOpen } from './quota-of.js';

const FREE_LIMIT = 5;
const FREE_BLOCK_MS = 3_000;

let stack: Stack;
let gateway: string;
let paid: string;
let free: string;

beforeAll(async () => {
  stack = await startStack({ pods: 3, env: { FREE_LIMIT: String(FREE_LIMIT), FREE_BLOCK_MS: String(FREE_BLOCK_MS) } });
  gateway = stack.origin.gateway;
  [paid, free] = await Promise.all([login(gateway, 'paid@octo.local'), login(gateway, 'free@octo.local')]);
});
afterAll(() => stack.stop());

beforeEach(() => setFaults(stack.origin.free, {}));

const withKey = (key: string = randomUUID()) => ({ 'idempotency-key': key });
const soon = (ms: number): string => new Date(Date.now() + ms).toISOString();

/** Uses up free quota; at least two thirds of the block are left then. */
const untilBlocked = () => untilFreeIsBlocked(gateway, paid, (2 / 3) * FREE_BLOCK_MS);

describe('an idempotency key', () => {
  it('sends a repeated request once, and every pod gives the first answer', async () => {
    const key = withKey();
    const first = await postMessage(gateway, paid, { message: 'once' }, key);
    const before = await statsOf(stack.origin.paid);
    for (const pod of stack.gateways) {
      const again = await postMessage(pod, paid, { message: 'once' }, key);
      expect({ status: again.status, body: again.body }).toEqual({ status: 200, body: first.body });
    }
    expect((await statsOf(stack.origin.paid)).accepted).toBe(before.accepted);
  });

  it('is separate for each account', async () => {
    const key = withKey();
    const one = await postMessage(gateway, paid, { message: 'a' }, key);
    const { status, body } = await postMessage(gateway, free, { message: 'b', deliverBy: soon(10_000) }, key);
    expect([200, 202]).toContain(status);
    expect(body.id).not.toBe(one.body.id);
  });

  it('used again with another body is answered 422', async () => {
    const key = withKey();
    await postMessage(gateway, paid, { message: 'a' }, key);
    const { status, body } = await postMessage(gateway, paid, { message: 'b' }, key);
    expect({ status, code: body.code }).toEqual({ status: 422, code: 'idempotency_key_reused' });
  });

  it.each(['', ' ', 'é', 'x'.repeat(256)])('with the invalid value "%s" is answered 400', async (key) => {
    const { status, body } = await postMessage(gateway, paid, { message: 'a' }, { 'idempotency-key': key });
    expect({ status, code: body.code }).toEqual({ status: 400, code: 'invalid_message' });
  });

  it('of 50 concurrent requests to 3 pods sends one message', async () => {
    const key = withKey();
    const before = [await statsOf(stack.origin.free), await statsOf(stack.origin.paid)];
    const answers = await inParallel(50, 50, async (index) => {
      const pod = stack.gateways[index % 3] ?? gateway;
      return postMessage(pod, paid, { message: 'once' }, key);
    });
    const delivered = answers.filter(({ status }) => status === 200);
    expect(delivered.length).toBeGreaterThan(0);
    expect(new Set(delivered.map(({ body }) => body.id)).size).toBe(1);
    expect(answers.filter(({ status }) => status !== 200 && status !== 409)).toEqual([]);
    const after = [await statsOf(stack.origin.free), await statsOf(stack.origin.paid)];
    const sum = (stats: { accepted: number }[]): number => stats.reduce((total, { accepted }) => total + accepted, 0);
    expect(sum(after) - sum(before)).toBe(1);
  });

  it('gives the first answer also after the deadline of the message', async () => {
    await untilBlocked();
    const key = withKey();
    const body = { message: 'late', deliverBy: soon(FREE_BLOCK_MS + 500), paid: 'never' };
    const first = await postMessage(gateway, paid, body, key);
    expect(first.status).toBe(202);
    await finished(gateway, paid, first.body.id ?? '');
    await waitUntil(() => Date.now() > Date.parse(body.deliverBy), { what: 'the deadline has passed' });
    const again = await postMessage(gateway, paid, body, key);
    expect({ status: again.status, id: again.body.id }).toEqual({ status: 200, id: first.body.id });
    expect((await postMessage(gateway, paid, body, withKey())).status).toBe(400);
    expect((await postMessage(gateway, paid, body)).status).toBe(400);
  });

  it('resolves a message whose answer was lost twice, and then gives its outcome', async () => {
    // The gateway asks once more at once; the second answer is lost as well.
    await setFaults(stack.origin.free, { loseReplyRate: 1, times: 2 });
    await setFaults(stack.origin.paid, {});
    const key = withKey();
    const before = await statsOf(stack.origin.free);
    await untilFreeIsOpen(gateway, paid);
    const first = await postMessage(gateway, paid, { message: 'lost', paid: 'never' }, key);
    expect(first.status).toBe(504);
    const id = (await listOf(gateway, paid, 'limit=1')).body.items[0]?.id ?? '';
    expect(await finished(gateway, paid, id)).toMatchObject({ status: 'delivered', provider: 'free' });
    const again = await postMessage(gateway, paid, { message: 'lost', paid: 'never' }, key);
    expect({ status: again.status, id: again.body.id }).toEqual({ status: 200, id });
    expect((await statsOf(stack.origin.free)).accepted).toBe(before.accepted + 1);
  });

  it('resolved by a replayed answer is not counted twice, so that the next window opens on time', async () => {
    await untilBlocked();
    await untilFreeIsOpen(gateway, paid);
    await setFaults(stack.origin.free, { loseReplyRate: 1, times: 2 });
    const before = await statsOf(stack.origin.free);
    await postMessage(gateway, paid, { message: 'lost again', paid: 'never' }, withKey());
    const id = (await listOf(gateway, paid, 'limit=1')).body.items[0]?.id ?? '';
    expect(await finished(gateway, paid, id)).toMatchObject({ status: 'delivered', provider: 'free' });
    await untilBlocked();
    await untilFreeIsOpen(gateway, paid);
    await inParallel(FREE_LIMIT, FREE_LIMIT, () => postMessage(gateway, paid));
    expect((await statsOf(stack.origin.free)).refused - before.refused).toBeLessThanOrEqual(1);
  });
});
