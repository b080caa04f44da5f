import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { inParallel, login, postMessage } from '../../../test/support/client.js';
import type { Stack } from '../../../test/support/stack.js';
import { waitUntil } from '../../../tools/stack/wait-until.js';
import { quotaOf } from './quota-of.js';
import { startWithProviders } from './start-with-providers.js';
import { deliver, startStubProvider, type StubProvider } from './stub-provider.js';

/** A quota of a day whose count Redis loses, and a provider that goes on counting. */
const LIMIT = 100;
const USED = 40;
/** A count may be rebuilt once no request from before can be under way: 500 ms, and the provider's time limit. */
const TIMEOUT_MS = 2_000;

let provider: StubProvider;
let stack: Stack;
let cookie: string;

beforeAll(async () => {
  provider = await startStubProvider();
  const quota = `{ policy: fixed-window, limit: ${LIMIT}, every: day }`;
  const yaml = `
currency: USD
providers:
  - { name: trial, url: '${provider.origin}', priceMicros: 0, timeoutMs: ${TIMEOUT_MS}, quota: ${quota} }
`;
  stack = await startWithProviders(yaml, { pods: 4, hasDisk: true, env: { QUOTA_WHEN_FORGOTTEN: 'blocked' } });
  cookie = await login(stack.origin.gateway, 'free@octo.local');
});
afterAll(async () => {
  await stack.stop();
  await provider.stop();
});

/** Sends through all pods until the provider has accepted this many since the test began. */
async function untilSent(count: number): Promise<void> {
  const send = async (index: number): Promise<boolean> => {
    await postMessage(stack.gateways[index % stack.gateways.length] ?? '', cookie);
    return provider.requests.length >= count;
  };
  let sent = 0;
  await waitUntil(() => send(sent++), { what: `${count} messages are sent`, deadlineMs: 30_000, everyMs: 10 });
}

describe('the count of a quota of a day, of which 40 are used,', () => {
  it('is rebuilt after Redis lost it under load: the other 60 are sent, and no more', async () => {
    await untilSent(USED);
    const redis = new Redis(stack.redisUrl);
    const underLoad = inParallel(40, 8, (index) => postMessage(stack.gateways[index % 4] ?? '', cookie));
    await redis.flushall();
    const lostAtMs = performance.now();
    await redis.quit();
    await underLoad;
    const sentBefore = provider.requests.filter(({ atMs }) => atMs < lostAtMs).length;
    await untilSent(LIMIT);
    const answers = await inParallel(40, 8, (index) => postMessage(stack.gateways[index % 4] ?? '', cookie));
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 403));
    expect(provider.requests).toHaveLength(LIMIT);
    expect(await quotaOf(stack.origin.gateway, cookie, 'trial')).toMatchObject({ used: LIMIT, remaining: 0 });
    const first = provider.requests.slice(sentBefore).find(({ atMs }) => atMs > lostAtMs + TIMEOUT_MS);
    expect((first?.atMs ?? Infinity) - lostAtMs).toBeLessThan(10_000);
    const rebuilt = stack.log.filter(({ event }) => event === 'quota rebuilt');
    expect(rebuilt).toHaveLength(1);
  });

  it('is rebuilt after all processes and the embedded Redis were stopped and started again', async () => {
    provider.answer = (response) => deliver(response);
    stack = await stack.restart();
    const statuses = await inParallel(8, 2, (index) => postMessage(stack.gateways[index % 4] ?? '', cookie));
    expect(statuses.map(({ status }) => status)).toEqual(statuses.map(() => 403));
    const isRebuilt = async (): Promise<boolean> =>
      (await quotaOf(stack.origin.gateway, cookie, 'trial')).used === LIMIT;
    await waitUntil(isRebuilt, { what: 'the count is rebuilt', deadlineMs: 10_000, everyMs: 100 });
    expect(provider.requests).toHaveLength(LIMIT);
  });
});
