import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { call, inParallel, login, postMessage, setFaults, statsOf } from '../../../test/support/client.js';
import { type Stack, startStack } from '../../../test/support/stack.js';
import { waitUntil } from '../../../tools/stack/wait-until.js';
import { quotaOf } from './quota-of.js';

let stack: Stack;
let gateway: string;
let paid: string;

beforeAll(async () => {
  stack = await startStack({
    env: { MESSAGES_PER_SECOND: '20', MAX_IN_FLIGHT: '5', FREE_LIMIT: '1000', QUOTA_BUDGET_MS: '100' },
  });
  gateway = stack.origin.gateway;
  paid = await login(gateway, 'paid@octo.local');
});
afterAll(() => stack.stop());

describe('an account above MESSAGES_PER_SECOND', () => {
  it('gets 429 with Retry-After, and its refused messages are not sent', async () => {
    // By both providers: when Redis takes longer than QUOTA_BUDGET_MS, the paid provider gets the message.
    const sent = async () => (await statsOf(stack.origin.free)).accepted + (await statsOf(stack.origin.paid)).accepted;
    const before = await sent();
    const answers = await inParallel(60, 4, () => postMessage(gateway, paid));
    const refused = answers.filter(({ status }) => status === 429);
    expect(refused.length).toBeGreaterThan(0);
    expect(refused[0]?.body.code).toBe('too_many_requests');
    expect(refused[0]?.headers.get('retry-after')).toBe('1');
    expect((await sent()) - before).toBe(answers.filter(({ status }) => status === 200).length);
  });
});

describe('a body that is not valid', () => {
  it('counts against MESSAGES_PER_SECOND', async () => {
    // Another account: the first may have used up its rate.
    const admin = await login(gateway, 'admin@octo.local');
    const answers = await inParallel(60, 4, () => postMessage(gateway, admin, { unknown: 1 }));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([400, 429]));
  });
});

describe('a pod with MAX_IN_FLIGHT messages in flight', () => {
  it('answers 503 at once instead of queueing', async () => {
    // Another account: the first may have used up its rate.
    const free = await login(gateway, 'free@octo.local');
    await setFaults(stack.origin.free, { latencyMs: 300 });
    const answers = await inParallel(12, 12, () => postMessage(gateway, free));
    await setFaults(stack.origin.free, {});
    const busy = answers.filter(({ status }) => status === 503);
    expect(busy.length).toBeGreaterThan(0);
    expect(busy[0]?.body.code).toBe('unavailable');
    expect(busy[0]?.headers.get('retry-after')).toBe('1');
  });
});

const readiness = () => call<{ status: string; missing?: object[] }>(`${gateway}/health/ready`);

describe('while Redis hangs', () => {
  it('no free message is sent without a permit, paid ones are, the gateway is degraded but ready, and recovers by itself', async () => {
    const free = await login(gateway, 'free@octo.local');
    // From here on the gateway has verified both tokens.
    await waitUntil(async () => (await postMessage(gateway, free)).status === 200, { what: 'a message is delivered' });
    await waitUntil(async () => (await postMessage(gateway, paid)).status === 200, { what: 'a message is delivered' });
    const before = await statsOf(stack.origin.free);
    signalRedis('SIGSTOP');
    try {
      await waitUntil(async () => (await postMessage(gateway, paid)).body.provider === 'paid', {
        what: 'the paid provider gets a message',
      });
      const withoutPaid = await postMessage(gateway, free);
      expect({ status: withoutPaid.status, code: withoutPaid.body.code }).toEqual({ status: 503, code: 'unavailable' });
      expect((await statsOf(stack.origin.free)).accepted).toBe(before.accepted);
      await waitUntil(async () => (await readiness()).body.status !== 'ready', { what: 'the gateway notices' });
      expect(await readiness()).toMatchObject({
        status: 200,
        body: { status: 'degraded', missing: [{ name: 'redis', reason: 'is not connected: no free sends' }] },
      });
      expect(await quotaOf(gateway, paid)).toMatchObject({ state: 'unknown' });
    } finally {
      signalRedis('SIGCONT');
    }
    await waitUntil(async () => (await postMessage(gateway, paid)).body.provider === 'free', {
      what: 'the free provider gets a message',
    });
    await waitUntil(async () => (await readiness()).body.status === 'ready', { what: 'the gateway is ready' });
    const lost = stack.log.filter(({ event }) => event === 'quota store lost');
    expect(lost.length).toBeLessThanOrEqual(1);
  });
});

function signalRedis(signal: 'SIGSTOP' | 'SIGCONT'): void {
  process.kill(stack.redisPid, signal);
}
