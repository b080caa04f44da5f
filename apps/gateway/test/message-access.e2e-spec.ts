import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { call, login, postMessage } from '../../../test/support/client.js';
import { type Stack, startStack } from '../../../test/support/stack.js';
import { DEMO_PASSWORD } from '../../../tools/stack/log-in.js';
import { waitUntil } from '../../../tools/stack/wait-until.js';
import { RedisServer } from '../../../verification/engines/redis-server.js';
import { TcpProxy } from '../../../verification/engines/tcp-proxy.js';

let redis: RedisServer;
let proxy: TcpProxy;
let stack: Stack;
let gateway: string;
let admin: string;

beforeAll(async () => {
  redis = await RedisServer.start('embedded');
  proxy = await TcpProxy.to({ host: '127.0.0.1', port: redis.port });
  const env = {
    REDIS_URL: `redis://127.0.0.1:${proxy.port}`,
    QUOTA_WHEN_FORGOTTEN: 'fresh',
    FREE_LIMIT: '1',
    FREE_BLOCK_MS: '600000',
    REGISTRATIONS_PER_HOUR: '1000',
  };
  stack = await startStack({ pods: 2, env });
  gateway = stack.origin.gateway;
  admin = await login(gateway, 'admin@octo.local');
});
afterAll(async () => {
  await stack.stop();
  await proxy.close();
  await redis.remove();
});

type Headers = Record<string, string>;

interface Account {
  id: string;
  session: Headers;
  key: Headers;
  keyId: string;
}

function send<Body>(method: string, path: string, headers: Headers, body?: unknown) {
  const json = body === undefined ? {} : { body: JSON.stringify(body) };
  const type: Headers = body === undefined ? {} : { 'content-type': 'application/json' };
  return call<Body>(`${gateway}${path}`, { method, headers: { ...headers, ...type }, ...json });
}

/** With paid access, one session and one API key, both of which every pod has in its cache. */
async function newAccount(): Promise<Account> {
  const email = `${randomUUID()}@example.com`;
  const { body } = await send<{ id: string }>('POST', '/auth/register', {}, { email, password: DEMO_PASSWORD });
  await send('PATCH', `/auth/users/${body.id}`, { cookie: admin }, { paidAccess: true });
  const session = { cookie: await login(gateway, email) };
  const created = await send<{ id: string; key: string }>('POST', '/auth/keys', session, { name: 'test' });
  const account = { ...body, session, key: { authorization: `Bearer ${created.body.key}` }, keyId: created.body.id };
  for (const headers of [account.session, account.key]) {
    // oxlint-disable-next-line no-await-in-loop -- one credential after the other
    expect(await statusesOf(headers)).toEqual([200, 200]);
  }
  return account;
}

/** Of `GET /messages` at each pod. */
async function statusesOf(headers: Headers): Promise<number[]> {
  const answers = await Promise.all(stack.gateways.map((pod) => call(`${pod}/messages`, { headers })));
  return answers.map(({ status }) => status);
}

/** A message that cannot end: free quota stays used up. */
async function waitingMessage(headers: Headers): Promise<string> {
  const deliverBy = new Date(Date.now() + 3_600_000).toISOString();
  const body = { message: 'a', deliverBy, paid: 'never' };
  const { status, body: answer } = await send<{ id: string }>('POST', '/messages', headers, body);
  expect(status).toBe(202);
  return answer.id;
}

/** A stream of events, and when it ended. */
async function watch(headers: Headers, id: string): Promise<{ endedAtMs: () => number | undefined }> {
  const response = await fetch(`${gateway}/messages/${id}/events`, { headers });
  expect(response.status).toBe(200);
  let endedAtMs: number | undefined;
  void response.text().then(() => (endedAtMs = performance.now()));
  return { endedAtMs: () => endedAtMs };
}

async function expectEndWithin1s(stream: { endedAtMs: () => number | undefined }): Promise<void> {
  const startedMs = performance.now();
  await waitUntil(() => stream.endedAtMs() !== undefined, { what: 'the stream ends', deadlineMs: 10_000 });
  expect((stream.endedAtMs() ?? 0) - startedMs).toBeLessThan(1_000);
}

beforeEach(async () => {
  proxy.comeBack();
  proxy.delayReplies(0);
  await waitUntil(async () => (await call(`${gateway}/health/ready`)).status === 200, { what: 'the gateway is ready' });
});

describe.each([
  ['healthy', () => {}],
  ['slow', () => proxy.delayReplies(120)],
  ['stopped', () => proxy.goDown()],
])('while Redis is %s', (_state, disturbRedis) => {
  it('a disabled account has no message delivered after the PATCH answered, at 512 at once', async () => {
    const account = await newAccount();
    disturbRedis();
    let isDisabled = false;
    let sentBefore = 0;
    const deliveredAfter: number[] = [];
    const sender = async (index: number): Promise<void> => {
      const pod = stack.gateways[index % 2] ?? gateway;
      const { cookie = '', ...headers } = index % 4 < 2 ? account.session : { cookie: '', ...account.key };
      for (let isLast = false; !isLast;) {
        isLast = isDisabled;
        // oxlint-disable-next-line no-await-in-loop -- one message at a time
        const { status } = await postMessage(pod, cookie, { message: 'hello' }, headers);
        if (!isLast && status === 200) sentBefore += 1;
        if (isLast && status === 200) deliveredAfter.push(index);
      }
    };
    const senders = Promise.all(Array.from({ length: 512 }, (_, i) => sender(i)));
    await waitUntil(() => sentBefore > 512, { what: 'messages are delivered' });
    const { status } = await send('PATCH', `/auth/users/${account.id}`, { cookie: admin }, { disabled: true });
    isDisabled = true;
    await senders;
    expect(status).toBe(200);
    expect(deliveredAfter).toEqual([]);
    expect([...(await statusesOf(account.session)), ...(await statusesOf(account.key))]).toEqual([401, 401, 401, 401]);
  });

  it('a session is refused by every pod after its logout, and a key after its deletion', async () => {
    const account = await newAccount();
    disturbRedis();
    expect((await send('DELETE', `/auth/keys/${account.keyId}`, account.session)).status).toBe(204);
    expect(await statusesOf(account.key)).toEqual([401, 401]);
    expect(await statusesOf(account.session)).toEqual([200, 200]);
    expect((await send('POST', '/auth/logout', account.session)).status).toBe(204);
    expect(await statusesOf(account.session)).toEqual([401, 401]);
  });
});

describe('an event stream ends within 1 s', () => {
  beforeEach(async () => {
    // Uses up free quota.
    await postMessage(gateway, await login(gateway, 'free@octo.local'));
  });

  it('when its session logs out, and the stream of another session goes on', async () => {
    const [one, other] = await Promise.all([newAccount(), newAccount()]);
    const [stream, unaffected] = [
      await watch(one.session, await waitingMessage(one.session)),
      await watch(other.session, await waitingMessage(other.session)),
    ];
    await send('POST', '/auth/logout', one.session);
    await expectEndWithin1s(stream);
    expect(unaffected.endedAtMs()).toBeUndefined();
  });

  it('when its account is disabled, for a session and for an API key', async () => {
    const account = await newAccount();
    const id = await waitingMessage(account.session);
    const streams = [await watch(account.session, id), await watch(account.key, id)];
    await send('PATCH', `/auth/users/${account.id}`, { cookie: admin }, { disabled: true });
    await Promise.all(streams.map(expectEndWithin1s));
  });

  it('when its API key is deleted, and the stream of the session goes on', async () => {
    const account = await newAccount();
    const id = await waitingMessage(account.session);
    const [ofKey, ofSession] = [await watch(account.key, id), await watch(account.session, id)];
    await send('DELETE', `/auth/keys/${account.keyId}`, account.session);
    await expectEndWithin1s(ofKey);
    expect(ofSession.endedAtMs()).toBeUndefined();
  });

  it('when its API key expires', async () => {
    const account = await newAccount();
    const id = await waitingMessage(account.session);
    const expiresAtMs = Date.now() + 3_000;
    const body = { name: 'short', expiresAt: new Date(expiresAtMs).toISOString() };
    const created = await send<{ key: string }>('POST', '/auth/keys', account.session, body);
    const stream = await watch({ authorization: `Bearer ${created.body.key}` }, id);
    await waitUntil(() => stream.endedAtMs() !== undefined, { what: 'the stream ends', deadlineMs: 10_000 });
    expect(Date.now()).toBeGreaterThanOrEqual(expiresAtMs);
    expect(Date.now()).toBeLessThan(expiresAtMs + 1_000);
  });

  it('when its session logs out while Redis is stopped', async () => {
    const account = await newAccount();
    const stream = await watch(account.session, await waitingMessage(account.session));
    proxy.goDown();
    expect((await send('POST', '/auth/logout', account.session)).status).toBe(204);
    await expectEndWithin1s(stream);
  });
});

describe('an API key', () => {
  it('sends messages, reads its quota and its messages, as a session does', async () => {
    const account = await newAccount();
    const sent = await send<{ id: string }>('POST', '/messages', account.key, { message: 'hello' });
    expect(sent.status).toBe(200);
    expect((await send('GET', `/messages/${sent.body.id}`, account.key)).status).toBe(200);
    expect((await send('GET', '/quota', account.key)).status).toBe(200);
  });
});
