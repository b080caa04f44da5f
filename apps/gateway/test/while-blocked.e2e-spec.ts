import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { call, inParallel, listOf, login, postMessage, recordOf } from '../../../test/support/client.js';
import { type Stack, startStack } from '../../../test/support/stack.js';
import { waitUntil } from '../../../tools/stack/wait-until.js';
import { untilFreeIsBlocked } from './quota-of.js';

const DAY_MS = 86_400_000;

let stack: Stack;
let gateway: string;
let paid: string;
let free: string;

// Free quota stays blocked however slow the machine is: here a message waits until it is cancelled.
beforeAll(async () => {
  stack = await startStack({ pods: 2, env: { FREE_LIMIT: '1', FREE_BLOCK_MS: '3600000' } });
  gateway = stack.origin.gateway;
  [paid, free] = await Promise.all([login(gateway, 'paid@octo.local'), login(gateway, 'free@octo.local')]);
  await untilFreeIsBlocked(gateway, paid);
});
afterAll(() => stack.stop());

const withKey = (key: string = randomUUID()) => ({ 'idempotency-key': key });
const soon = (ms: number): string => new Date(Date.now() + ms).toISOString();

const waitingBody = () => ({ message: 'a', deliverBy: soon(DAY_MS), paid: 'never' });

async function waitingMessage(): Promise<string> {
  const { status, body } = await postMessage(gateway, paid, waitingBody());
  expect(status).toBe(202);
  return body.id ?? '';
}

const cancel = (id: string, cookie = paid) =>
  call<{ code: string }>(`${gateway}/messages/${id}`, { method: 'DELETE', headers: { cookie } });

const watch = (id: string, { origin = gateway, headers = {}, signal }: Watching = {}) =>
  fetch(`${origin}/messages/${id}/events`, { headers: { cookie: paid, ...headers }, ...(signal && { signal }) });

interface Watching {
  origin?: string;
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

/** The names of the events of a stream that has ended. */
async function eventsOf(response: Response): Promise<(string | undefined)[]> {
  return [...(await response.text()).matchAll(/^event: (.*)$/gm)].map(([, name]) => name);
}

describe('while free quota is blocked, a message', () => {
  it('gets the first answer again with its idempotency key', async () => {
    const key = withKey();
    const body = waitingBody();
    const first = await postMessage(gateway, paid, body, key);
    const again = await postMessage(gateway, paid, body, key);
    // What is expected may have changed meanwhile.
    const { expectedAt: _, ...rest } = first.body;
    expect([first.status, again.status]).toEqual([202, 202]);
    expect(again.body).toMatchObject(rest);
  });

  it('may use the idempotency key of a request that was answered 403', async () => {
    const key = withKey();
    expect((await postMessage(gateway, free, { message: 'a' }, key)).status).toBe(403);
    const accepted = await postMessage(gateway, free, { message: 'a', deliverBy: soon(DAY_MS) }, key);
    expect(accepted.status).toBe(202);
  });

  it('is answered 403 when free quota opens after its deadline and it may not be paid for', async () => {
    const { status, body } = await postMessage(gateway, free, { message: 'a', deliverBy: soon(60_000) });
    expect({ status, code: body.code }).toEqual({ status: 403, code: 'paid_access_required' });
  });

  it('has no record when it is invalid, nor when it is answered 403 without an idempotency key', async () => {
    const before = await listOf(gateway, free, 'limit=100');
    expect((await postMessage(gateway, free, {})).status).toBe(400);
    expect((await postMessage(gateway, free, { message: 'a', deliverBy: 'soon' }, withKey())).status).toBe(400);
    expect((await postMessage(gateway, free)).status).toBe(403);
    expect((await listOf(gateway, free, 'limit=100')).body.items).toHaveLength(before.body.items.length);
  });

  it('can be cancelled while it waits, and not after delivery', async () => {
    const id = await waitingMessage();
    expect((await cancel(id, free)).status).toBe(404);
    expect((await cancel(id)).status).toBe(204);
    expect((await cancel(id)).status).toBe(204);
    expect((await recordOf(gateway, paid, id)).body).toMatchObject({ status: 'cancelled' });
    const delivered = await postMessage(gateway, paid);
    expect(await cancel(delivered.body.id ?? '')).toMatchObject({ status: 409, body: { code: 'already_delivered' } });
  });
});

describe('GET /messages/{id}/events of a message that waits', () => {
  it('streams each status until the message has ended, also at another pod', async () => {
    const id = await waitingMessage();
    const response = await watch(id, { origin: stack.gateways[1] ?? '' });
    expect(response.headers.get('content-type')).toContain('text/event-stream');
    await cancel(id);
    const names = await eventsOf(response);
    expect({ first: names.at(0), last: names.at(-1) }).toEqual({ first: 'waiting', last: 'cancelled' });
  });

  it('answers at once for any Last-Event-ID, also when the client has every event so far', async () => {
    const id = await waitingMessage();
    const answers = await Promise.all(
      ['2', '999999999', '-1', 'x'].map((lastEventId) => watch(id, { headers: { 'last-event-id': lastEventId } })),
    );
    expect((await recordOf(gateway, paid, id)).body.status).toBe('waiting');
    await cancel(id);
    const names = await Promise.all(answers.map(eventsOf));
    expect(names.slice(2).map((each) => each.at(0))).toEqual(['waiting', 'waiting']);
    expect(names.map((each) => each.at(-1))).toEqual(names.map(() => 'cancelled'));
  });

  it('allows an account 100 streams at a time, and answers 429 beyond', async () => {
    const id = await waitingMessage();
    const ended = new AbortController();
    const answers = await inParallel(101, 10, () => watch(id, { signal: ended.signal }));
    expect(answers.map(({ status }) => status)).toContain(429);
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(100);
    ended.abort();
    const isAllowed = async (): Promise<boolean> => (await statusOfStream(id)) === 200;
    await waitUntil(isAllowed, { what: 'a stream is allowed again' });
  });
});

describe('a gateway that got SIGTERM', () => {
  it('ends its event streams, and does not wait for their clients to close the connections', async () => {
    const id = await waitingMessage();
    const streams = await inParallel(3, 3, () => watch(id, { origin: stack.gateways[1] ?? '' }));
    // A browser opens connections in advance.
    const early = connect(Number(new URL(stack.gateways[1] ?? '').port), '127.0.0.1');
    await once(early, 'connect');
    const [names] = await Promise.all([Promise.all(streams.map(eventsOf)), stack.process('gateway-2').stop()]);
    expect(names).toEqual([['waiting'], ['waiting'], ['waiting']]);
    expect(
      stack.log.filter(({ app, context, level }) => app === 'gateway' && context === 'stop' && level === 'error'),
    ).toEqual([]);
  });
});

/** The status of a stream that the client closes at once. */
async function statusOfStream(id: string): Promise<number> {
  const ended = new AbortController();
  const { status } = await watch(id, { signal: ended.signal });
  ended.abort();
  return status;
}
