import { randomBytes, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { call, inParallel, listOf, login, postMessage, recordOf } from '../../../test/support/client.js';
import { type Stack, startStack } from '../../../test/support/stack.js';

let stack: Stack;
let gateway: string;
let paid: string;
let free: string;

beforeAll(async () => {
  stack = await startStack({ pods: 3, env: { FREE_LIMIT: '5', FREE_BLOCK_MS: '1500' } });
  gateway = stack.origin.gateway;
  [paid, free] = await Promise.all([login(gateway, 'paid@octo.local'), login(gateway, 'free@octo.local')]);
});
afterAll(() => stack.stop());

describe('the journal', () => {
  it('has every hop of a message, in order', async () => {
    const { body } = await postMessage(gateway, paid, { message: 'hello' }, { 'x-request-id': 'call-7' });
    const { status, body: record } = await recordOf(gateway, paid, body.id ?? '');
    expect(status).toBe(200);
    expect(record).toMatchObject({ ...body, message: 'hello', mayPay: true, requestId: 'call-7' });
    const steps = record.hops.map(({ step }) => step);
    expect(steps.at(0)).toBe('accepted');
    expect(steps.slice(-3)).toEqual(['sending', 'answered', 'delivered']);
    expect(record.hops.map(({ seq }) => seq)).toEqual(steps.map((_step, index) => index + 1));
    expect(record.traceId).toMatch(/^[0-9a-f]{32}$/);
  });

  it('shows a message at every pod, and answers 404 to other accounts and unknown ids', async () => {
    const { body } = await postMessage(gateway, paid);
    for (const pod of stack.gateways) expect((await recordOf(pod, paid, body.id ?? '')).status).toBe(200);
    expect(await recordOf(gateway, free, body.id ?? '')).toMatchObject({ status: 404, body: { code: 'not_found' } });
    expect((await recordOf(gateway, paid, randomUUID())).status).toBe(404);
    expect((await recordOf(gateway, paid, 'no-id')).status).toBe(404);
  });

  it('lists the messages of an account, newest first, in pages without gaps or repeats', async () => {
    const sent = await inParallel(7, 1, async () => (await postMessage(gateway, paid)).body.id ?? '');
    const first = await listOf(gateway, paid, 'limit=4');
    const second = await listOf(gateway, paid, `limit=4&cursor=${first.body.nextCursor ?? ''}`);
    const ids = [...first.body.items, ...second.body.items].map(({ id }) => id);
    expect(ids.slice(0, 7)).toEqual(sent.toReversed());
    const byPaid = await listOf(gateway, paid, 'provider=paid&status=delivered');
    expect(new Set(byPaid.body.items.map(({ provider }) => provider))).toEqual(new Set(['paid']));
    expect((await listOf(gateway, paid, 'status=expired')).body).toEqual({ items: [], nextCursor: null });
  });

  it('lists the messages of a trace: those of the caller, newest first, in pages', async () => {
    const traceId = randomBytes(16).toString('hex');
    const send = async (cookie: string) =>
      (await postMessage(gateway, cookie, undefined, { traceparent: `00-${traceId}-00f067aa0ba902b7-01` })).body.id;
    const sent = await inParallel(5, 1, () => send(paid));
    await send(free);
    await postMessage(gateway, paid);
    const first = await listOf(gateway, paid, `traceId=${traceId}&limit=3`);
    expect(new Set(first.body.items.map((item) => item.traceId))).toEqual(new Set([traceId]));
    const second = await listOf(gateway, paid, `traceId=${traceId}&limit=3&cursor=${first.body.nextCursor ?? ''}`);
    expect([...first.body.items, ...second.body.items].map(({ id }) => id)).toEqual(sent.toReversed());
    expect(second.body.nextCursor).toBeNull();
    const admin = await login(gateway, 'admin@octo.local');
    expect((await listOf(gateway, admin, `traceId=${traceId}`)).body).toEqual({ items: [], nextCursor: null });
    expect((await listOf(gateway, paid, `traceId=${traceId}&status=expired`)).body.items).toEqual([]);
  });

  it('finds the message of an idempotency key, for the account of the key only', async () => {
    const key = `${randomUUID()}/%25&a=b`;
    const { body } = await postMessage(gateway, paid, undefined, { 'idempotency-key': key });
    await postMessage(gateway, paid, undefined, { 'idempotency-key': `${key}x` });
    const query = `idempotencyKey=${encodeURIComponent(key)}`;
    const found = await listOf(gateway, paid, query);
    expect(found.body.items.map(({ id, idempotencyKey }) => [id, idempotencyKey])).toEqual([[body.id, key]]);
    expect((await listOf(gateway, free, query)).body.items).toEqual([]);
  });

  it.each([
    'cursor=forged',
    'cursor=',
    'limit=0',
    'status=lost',
    'since=yesterday',
    'provider=%00',
    'provider=',
    'traceId=',
    'traceId=4bf92f3577b34da6a3ce929d0e0e473',
    'traceId=4BF92F3577B34DA6A3CE929D0E0E4736',
    `traceId=${'0'.repeat(32)}`,
    'traceId=00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
    'idempotencyKey=',
    'idempotencyKey=%C3%A9',
  ])('answers 400 to a list query with %s', async (query) => {
    const { status, body } = await listOf(gateway, paid, query);
    const pointer = `/${query.split('=', 1)[0]}`;
    expect({ status, body }).toMatchObject({ status: 400, body: { code: 'invalid_request', errors: [{ pointer }] } });
  });
});

describe('GET /messages/{id}/events', () => {
  it('answers 204 when Last-Event-ID is the last event of an ended message, and answers HEAD at once', async () => {
    const { body } = await postMessage(gateway, paid);
    const url = `${gateway}/messages/${body.id}/events`;
    const all = await fetch(url, { headers: { cookie: paid } });
    const last = [...(await all.text()).matchAll(/^id: (.*)$/gm)].at(-1)?.[1] ?? '';
    const again = await fetch(url, { headers: { cookie: paid, 'last-event-id': last } });
    expect({ status: again.status, body: await again.text() }).toEqual({ status: 204, body: '' });
    const head = await fetch(url, { method: 'HEAD', headers: { cookie: paid } });
    expect(head.status).toBe(200);
  });

  it('answers 404 for a message of another account', async () => {
    const { body } = await postMessage(gateway, paid);
    expect(await call(`${gateway}/messages/${body.id}/events`, { headers: { cookie: free } })).toMatchObject({
      status: 404,
    });
  });
});
