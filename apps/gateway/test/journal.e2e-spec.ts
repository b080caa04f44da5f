import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { QuotaReport } from '#contracts';
import {
  call,
  finished,
  inParallel,
  listOf,
  login,
  postMessage,
  recordOf,
  setFaults,
  statsOf,
} from '../../../test/support/client.js';
import { type Stack, startStack } from '../../../test/support/stack.js';
import { waitUntil } from '../../../tools/stack/wait-until.js';

const FREE_LIMIT = 5;
const FREE_BLOCK_MS = 1_500;

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

/** Until free quota is blocked for most of a block to come. */
async function spendFreeQuota(): Promise<void> {
  const { state, reopensAt } = await freeQuota();
  if (state === 'blocked' && Date.parse(reopensAt ?? '') - Date.now() > (2 / 3) * FREE_BLOCK_MS) return;
  if (state === 'open') await postMessage(gateway, paid);
  await spendFreeQuota();
}

async function waitForFree(): Promise<void> {
  if ((await freeQuota()).state !== 'open') await waitForFree();
}

async function freeQuota(): Promise<QuotaReport['providers'][number]> {
  const { body } = await call<QuotaReport>(`${gateway}/quota`, { headers: { cookie: paid } });
  const quota = body.providers.find(({ name }) => name === 'free');
  if (quota === undefined) throw new Error('the report is without the free provider');
  return quota;
}

describe('the journal', () => {
  it('holds every hop of a message, in order', async () => {
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

  it('can be read at every pod, by nobody else', async () => {
    const { body } = await postMessage(gateway, paid);
    for (const pod of stack.gateways) expect((await recordOf(pod, paid, body.id ?? '')).status).toBe(200);
    expect(await recordOf(gateway, free, body.id ?? '')).toMatchObject({ status: 404, body: { code: 'not_found' } });
    expect((await recordOf(gateway, paid, randomUUID())).status).toBe(404);
    expect((await recordOf(gateway, paid, 'no-id')).status).toBe(404);
  });

  it('lists the messages of an account, newest first, in pages that fit together', async () => {
    const sent = await inParallel(7, 1, async () => (await postMessage(gateway, paid)).body.id ?? '');
    const first = await listOf(gateway, paid, 'limit=4');
    const second = await listOf(gateway, paid, `limit=4&cursor=${first.body.nextCursor ?? ''}`);
    const ids = [...first.body.items, ...second.body.items].map(({ id }) => id);
    expect(ids.slice(0, 7)).toEqual(sent.toReversed());
    const byPaid = await listOf(gateway, paid, 'provider=paid&status=delivered');
    expect(new Set(byPaid.body.items.map(({ provider }) => provider))).toEqual(new Set(['paid']));
    expect((await listOf(gateway, paid, 'status=expired')).body).toEqual({ items: [], nextCursor: null });
  });

  it.each(['cursor=forged', 'cursor=', 'limit=0', 'status=lost', 'since=yesterday', 'provider=%00', 'provider='])(
    'refuses %s',
    async (query) => {
      expect(await listOf(gateway, paid, query)).toMatchObject({ status: 400, body: { code: 'invalid_request' } });
    },
  );

  it('holds nothing of a bad request, nor of one that nobody took', async () => {
    await spendFreeQuota();
    const before = await listOf(gateway, free, 'limit=100');
    expect((await postMessage(gateway, free, {})).status).toBe(400);
    expect((await postMessage(gateway, free, { message: 'a', deliverBy: 'soon' }, withKey())).status).toBe(400);
    expect((await postMessage(gateway, free)).status).toBe(403);
    expect((await listOf(gateway, free, 'limit=100')).body.items).toHaveLength(before.body.items.length);
  });
});

describe('an idempotency key', () => {
  it('gives the same answer again, at every pod, and sends once', async () => {
    const key = withKey();
    const first = await postMessage(gateway, paid, { message: 'once' }, key);
    const before = await statsOf(stack.origin.paid);
    for (const pod of stack.gateways) {
      const again = await postMessage(pod, paid, { message: 'once' }, key);
      expect({ status: again.status, body: again.body }).toEqual({ status: 200, body: first.body });
    }
    expect((await statsOf(stack.origin.paid)).accepted).toBe(before.accepted);
  });

  it('of one account is not that of another', async () => {
    const key = withKey();
    const one = await postMessage(gateway, paid, { message: 'a' }, key);
    const { status, body } = await postMessage(gateway, free, { message: 'b', deliverBy: soon(10_000) }, key);
    expect([200, 202]).toContain(status);
    expect(body.id).not.toBe(one.body.id);
  });

  it('with another body is refused', async () => {
    const key = withKey();
    await postMessage(gateway, paid, { message: 'a' }, key);
    const { status, body } = await postMessage(gateway, paid, { message: 'b' }, key);
    expect({ status, code: body.code }).toEqual({ status: 422, code: 'idempotency_key_reused' });
  });

  it.each(['', ' ', 'é', 'x'.repeat(256)])('that is none is refused: "%s"', async (key) => {
    const { status, body } = await postMessage(gateway, paid, { message: 'a' }, { 'idempotency-key': key });
    expect({ status, code: body.code }).toEqual({ status: 400, code: 'invalid_message' });
  });

  it('sent 50 times at once to 3 pods sends one message', async () => {
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

  it('can be used again when nothing was sent', async () => {
    await spendFreeQuota();
    const key = withKey();
    const refused = await postMessage(gateway, free, { message: 'a' }, key);
    expect(refused.status).toBe(403);
    const accepted = await postMessage(gateway, free, { message: 'a', deliverBy: soon(10_000) }, key);
    expect(accepted.status).toBe(202);
    expect(await finished(gateway, free, accepted.body.id ?? '')).toMatchObject({ status: 'delivered' });
  });

  it('tells what became of a message also after its deadline', async () => {
    await spendFreeQuota();
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

  it('finds out what came of a message whose answer was lost', async () => {
    await setFaults(stack.origin.free, { loseReplyRate: 1, times: 1 });
    await setFaults(stack.origin.paid, {});
    const key = withKey();
    const before = await statsOf(stack.origin.free);
    await waitForFree();
    const first = await postMessage(gateway, paid, { message: 'lost', paid: 'never' }, key);
    expect(first.status).toBe(504);
    const id = (await listOf(gateway, paid, 'limit=1')).body.items[0]?.id ?? '';
    expect(await finished(gateway, paid, id)).toMatchObject({ status: 'delivered', provider: 'free' });
    const again = await postMessage(gateway, paid, { message: 'lost', paid: 'never' }, key);
    expect({ status: again.status, id: again.body.id }).toEqual({ status: 200, id });
    expect((await statsOf(stack.origin.free)).accepted).toBe(before.accepted + 1);
  });

  it('asked for again at the provider is not taken for counted there, so that the next window opens when it does', async () => {
    await spendFreeQuota();
    await waitForFree();
    await setFaults(stack.origin.free, { loseReplyRate: 1, times: 1 });
    const before = await statsOf(stack.origin.free);
    await postMessage(gateway, paid, { message: 'lost again', paid: 'never' }, withKey());
    const id = (await listOf(gateway, paid, 'limit=1')).body.items[0]?.id ?? '';
    expect(await finished(gateway, paid, id)).toMatchObject({ status: 'delivered', provider: 'free' });
    await spendFreeQuota();
    await waitForFree();
    await inParallel(FREE_LIMIT, FREE_LIMIT, () => postMessage(gateway, paid));
    expect((await statsOf(stack.origin.free)).refused - before.refused).toBeLessThanOrEqual(1);
  });
});

describe('a message that may wait', () => {
  it('goes at once when free quota is open', async () => {
    // Once nobody else waits, which each pod learns within seconds.
    const goesAtOnce = async (): Promise<boolean> => {
      await waitForFree();
      const { status, body } = await postMessage(gateway, free, { message: 'a', deliverBy: soon(10_000) });
      return status === 200 && body.provider === 'free';
    };
    await waitUntil(goesAtOnce, { what: 'one goes at once', everyMs: 1_000 });
  });

  it('with a key is answered the same again while it waits', async () => {
    await spendFreeQuota();
    const key = withKey();
    const body = { message: 'a', deliverBy: soon(60_000), paid: 'never' };
    const first = await postMessage(gateway, paid, body, key);
    const again = await postMessage(gateway, paid, body, key);
    expect({ status: again.status, body: again.body }).toEqual({ status: first.status, body: first.body });
    expect(first.status).toBe(202);
  });

  it('waits for free quota rather than being paid for', async () => {
    await spendFreeQuota();
    const { status, body, headers } = await postMessage(gateway, paid, { message: 'patient', deliverBy: soon(10_000) });
    expect(status).toBe(202);
    expect(headers.get('location')).toBe(`/messages/${body.id}`);
    expect(Date.parse(body.expectedAt ?? '')).toBeLessThan(Date.parse(body.deliverBy ?? ''));
    const record = await finished(gateway, paid, body.id ?? '');
    expect(record).toMatchObject({ status: 'delivered', provider: 'free', costMicros: 0, response: 'tneitap' });
    const steps = record.hops.map(({ step }) => step);
    expect(steps.slice(-4)).toEqual(['waiting', 'sending', 'answered', 'delivered']);
  });

  it('is paid for at its last safe moment, when no free slot comes before', async () => {
    await setFaults(stack.origin.free, { errorRate: 1 });
    const { status, body } = await postMessage(
      gateway,
      paid,
      { message: 'a', deliverBy: soon(4_000) },
      { prefer: 'respond-async' },
    );
    expect(status).toBe(202);
    const record = await finished(gateway, paid, body.id ?? '');
    expect(record).toMatchObject({ status: 'delivered', provider: 'paid' });
    expect(Date.parse(record.deliveredAt ?? '')).toBeLessThan(Date.parse(record.deliverBy ?? ''));
  });

  it('is paid for in time also when hundreds are due at the same moment', async () => {
    await setFaults(stack.origin.paid, { latencyMs: 300 });
    await spendFreeQuota();
    const body = { message: 'a', deliverBy: soon(6_000) };
    const accepted = await inParallel(400, 40, () => postMessage(gateway, paid, body, { prefer: 'respond-async' }));
    expect(accepted.filter(({ status }) => status !== 202)).toEqual([]);
    const records = await inParallel(400, 4, (index) => finished(gateway, paid, accepted[index]?.body.id ?? ''));
    const isInTime = ({ deliveredAt }: { deliveredAt: string | null }): boolean =>
      deliveredAt !== null && Date.parse(deliveredAt) <= Date.parse(body.deliverBy);
    expect(records.filter((record) => !isInTime(record))).toEqual([]);
    await setFaults(stack.origin.paid, {});
  });

  it('expires at its deadline when it may not be paid for, saying why', async () => {
    await setFaults(stack.origin.free, { errorRate: 1 });
    const { body } = await postMessage(
      gateway,
      paid,
      { message: 'a', deliverBy: soon(2_000), paid: 'never' },
      { prefer: 'respond-async' },
    );
    const record = await finished(gateway, paid, body.id ?? '');
    expect(record).toMatchObject({ status: 'expired', reason: 'deadline_missed', costMicros: 0 });
    expect(record.detail).toContain('may not be paid for');
    expect(record.attempts.every(({ provider }) => provider === 'free')).toBe(true);
  });

  it('is refused when its deadline leaves no time for free quota, and it may not be paid for', async () => {
    await spendFreeQuota();
    const { status, body } = await postMessage(gateway, free, { message: 'a', deliverBy: soon(300) });
    expect({ status, code: body.code }).toEqual({ status: 403, code: 'paid_access_required' });
  });

  it('can be cancelled while it waits, and not when it is delivered', async () => {
    await spendFreeQuota();
    const waiting = await postMessage(gateway, paid, { message: 'a', deliverBy: soon(60_000) });
    const cancel = (id: string, cookie = paid) =>
      call<{ code: string }>(`${gateway}/messages/${id}`, { method: 'DELETE', headers: { cookie } });
    expect((await cancel(waiting.body.id ?? '', free)).status).toBe(404);
    expect((await cancel(waiting.body.id ?? '')).status).toBe(204);
    expect((await cancel(waiting.body.id ?? '')).status).toBe(204);
    expect((await recordOf(gateway, paid, waiting.body.id ?? '')).body).toMatchObject({ status: 'cancelled' });
    const delivered = await postMessage(gateway, paid);
    expect(await cancel(delivered.body.id ?? '')).toMatchObject({ status: 409, body: { code: 'already_delivered' } });
  });

  it('asked for by Prefer is accepted at once, and sent as soon as can be', async () => {
    const { status, body } = await postMessage(gateway, paid, { message: 'abc' }, { prefer: 'respond-async' });
    expect({ status, state: body.status }).toEqual({ status: 202, state: 'waiting' });
    expect(await finished(gateway, paid, body.id ?? '')).toMatchObject({ status: 'delivered', response: 'cba' });
  });
});

describe('pods that end', () => {
  it('leave no message behind: those they had accepted are sent by others', async () => {
    await spendFreeQuota();
    const [, second = ''] = stack.gateways;
    const accepted = await inParallel(8, 8, () =>
      postMessage(second, paid, { message: 'a', deliverBy: soon(20_000), paid: 'never' }),
    );
    expect(accepted.map(({ status }) => status)).toEqual(accepted.map(() => 202));
    stack.process('gateway-2').kill('SIGKILL');
    const records = await inParallel(8, 8, (index) => finished(gateway, paid, accepted[index]?.body.id ?? '', 30_000));
    expect(records.map(({ status, provider }) => ({ status, provider }))).toEqual(
      records.map(() => ({ status: 'delivered', provider: 'free' })),
    );
  });
});

describe('the events of a message', () => {
  it('tell each status until it is over, at every pod', async () => {
    await spendFreeQuota();
    const { body } = await postMessage(gateway, paid, { message: 'a', deliverBy: soon(10_000), paid: 'never' });
    const other = stack.gateways[2] ?? gateway;
    const response = await fetch(`${other}/messages/${body.id}/events`, { headers: { cookie: paid } });
    expect(response.headers.get('content-type')).toContain('text/event-stream');
    const events = (await response.text()).matchAll(/^event: (.*)$/gm);
    const names = [...events].map(([, name]) => name);
    expect({ first: names.at(0), last: names.at(-1) }).toEqual({ first: 'waiting', last: 'delivered' });
  });

  it('are not told twice to who says what it was told, and HEAD ends at once', async () => {
    const { body } = await postMessage(gateway, paid);
    const url = `${gateway}/messages/${body.id}/events`;
    const all = await fetch(url, { headers: { cookie: paid } });
    const last = [...(await all.text()).matchAll(/^id: (.*)$/gm)].at(-1)?.[1] ?? '';
    const again = await fetch(url, { headers: { cookie: paid, 'last-event-id': last } });
    expect({ status: again.status, body: await again.text() }).toEqual({ status: 204, body: '' });
    const head = await fetch(url, { method: 'HEAD', headers: { cookie: paid } });
    expect(head.status).toBe(200);
  });

  it('begin at once also for who was told everything so far, whatever it says it was told', async () => {
    await spendFreeQuota();
    const { body } = await postMessage(gateway, paid, { message: 'a', deliverBy: soon(10_000), paid: 'never' });
    const watch = (lastEventId: string) =>
      fetch(`${gateway}/messages/${body.id}/events`, {
        headers: { cookie: paid, 'last-event-id': lastEventId },
        signal: AbortSignal.timeout(15_000),
      });
    const answers = await Promise.all(['2', '999999999', '-1', 'x'].map(watch));
    expect((await recordOf(gateway, paid, body.id ?? '')).body.status).toBe('waiting');
    const texts = await Promise.all(answers.map((answer) => answer.text()));
    const firsts = texts.map((text) => /^event: (.*)$/m.exec(text)?.[1]);
    expect(firsts.slice(2)).toEqual(['waiting', 'waiting']);
    expect(texts.map((text) => [...text.matchAll(/^event: (.*)$/gm)].at(-1)?.[1])).toEqual(
      texts.map(() => 'delivered'),
    );
  });

  it('can be watched a hundred at a time by one account', async () => {
    await spendFreeQuota();
    const { body } = await postMessage(gateway, paid, { message: 'a', deliverBy: soon(60_000), paid: 'never' });
    const ended = new AbortController();
    const watch = () =>
      fetch(`${gateway}/messages/${body.id}/events`, { headers: { cookie: paid }, signal: ended.signal });
    const answers = await inParallel(101, 10, watch);
    expect(answers.map(({ status }) => status)).toContain(429);
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(100);
    ended.abort();
    const isWatched = async (): Promise<boolean> => (await watchOnce(body.id ?? '')) === 200;
    await waitUntil(isWatched, { what: 'there is room again' });
  });

  it('of somebody else are not found', async () => {
    const { body } = await postMessage(gateway, paid);
    expect(await call(`${gateway}/messages/${body.id}/events`, { headers: { cookie: free } })).toMatchObject({
      status: 404,
    });
  });
});

/** The status of a stream that is given up at once. */
async function watchOnce(id: string): Promise<number> {
  const ended = new AbortController();
  const { status } = await fetch(`${gateway}/messages/${id}/events`, {
    headers: { cookie: paid },
    signal: ended.signal,
  });
  ended.abort();
  return status;
}
