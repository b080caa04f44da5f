import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { createHmac, randomBytes, randomUUID } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { Logger } from '@nestjs/common';
import { eq, sql } from 'drizzle-orm';
import { accounts, callbacks, callbackSecrets, type Database, migrate, openDatabase } from '#database';
import { startPostgres } from '../../../verification/engines/suite-postgres.js';
import { startStack } from '../../../test/support/stack.js';
import { TcpProxy } from '../../../verification/engines/tcp-proxy.js';
import { waitUntil } from '../../../tools/stack/wait-until.js';
import {
  CallbackDelivery,
  type CallbackDeliveryOptions,
  callbackTries,
} from '../src/callbacks/callback-delivery.service.js';
import type { CallbackSettings } from '../src/callbacks/callback-settings.js';
import { PendingCallbacks } from '../src/callbacks/pending-callbacks.service.js';
import { type Receiver, startReceiver } from './receiver.js';

const KEYS = [randomBytes(32), randomBytes(24)];
const LOCAL: CallbackSettings = {
  CALLBACK_SECRETS: KEYS,
  CALLBACK_MASTER_SECRETS: [],
  CALLBACK_HOSTS: [],
  CALLBACK_ALLOW_PRIVATE: true,
};
const STRICT: CallbackSettings = { ...LOCAL, CALLBACK_ALLOW_PRIVATE: false };
/** Shorter than the poll interval of an idle pod, which is 5 s. */
const SOON_MS = 3_000;

let postgres: Awaited<ReturnType<typeof startPostgres>>;
let db: Database;
const cleanUps: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  postgres = await startPostgres();
  db = openDatabase(postgres.url);
  await migrate(db);
});
afterAll(async () => {
  await db.$client.end();
  await postgres.stop();
});
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).toReversed()) await cleanUp();
  await db.delete(callbacks);
});

async function newReceiver(...args: Parameters<typeof startReceiver>): Promise<Receiver> {
  const receiver = await startReceiver(...args);
  cleanUps.push(() => receiver.stop());
  return receiver;
}

/** The callback delivery of a pod. By default it retries at once. */
function startDelivery(options: Partial<CallbackDeliveryOptions> = {}, database = db): CallbackDelivery {
  const delivery = new CallbackDelivery(new PendingCallbacks(database), {
    settings: LOCAL,
    retryDelaysMs: [1, 1],
    stopGraceMs: 0,
    ...options,
  });
  cleanUps.push(() => delivery.stop());
  delivery.start();
  return delivery;
}

async function addCallback(url: string, more: Partial<typeof callbacks.$inferInsert> = {}): Promise<string> {
  const messageId = randomUUID();
  const payload = JSON.stringify({ id: messageId, status: 'delivered', response: 'größer' });
  await db.insert(callbacks).values({ messageId, accountId: randomUUID(), url, payload, ...more });
  return messageId;
}

async function rowOf(messageId: string): Promise<typeof callbacks.$inferSelect> {
  const [row] = await db.select().from(callbacks).where(eq(callbacks.messageId, messageId));
  if (row === undefined) throw new Error(`no callback of ${messageId}`);
  return row;
}

const untilDelivered = (messageId: string, options: { deadlineMs?: number } = {}): Promise<void> =>
  waitUntil(async () => (await rowOf(messageId)).deliveredAt !== null, {
    what: 'the callback is delivered',
    ...options,
  });
const untilAttempted = (messageId: string): Promise<void> =>
  waitUntil(async () => (await rowOf(messageId)).tries > 0, { what: 'an attempt is recorded' });
const untilGivenUp = (messageId: string): Promise<void> =>
  waitUntil(async () => (await rowOf(messageId)).gaveUpAt !== null, { what: 'the callback is given up' });

const attemptsCounted = async (outcome: string): Promise<number> =>
  (await callbackTries.get()).values.find(({ labels }) => labels.outcome === outcome)?.value ?? 0;

describe('a callback', () => {
  it('carries the stored payload byte for byte, signed with every key', async () => {
    const receiver = await newReceiver();
    const payload = '{ "id" : "as stored",\n "response": "größer 🐙" }';
    const id = await addCallback(`${receiver.url}?a=b#c`, { payload });
    startDelivery();
    await untilDelivered(id);
    expect(receiver.received).toEqual([
      { id, method: 'POST', path: '/hooks?a=b', body: payload, headers: expect.anything() },
    ]);
    const headers = receiver.received[0]?.headers ?? {};
    expect(headers['content-type']).toBe('application/json');
    expect(headers['webhook-id']).toBe(id);
    const timestamp = String(headers['webhook-timestamp']);
    expect(timestamp).toMatch(/^\d{10}$/);
    expect(Math.abs(Number(timestamp) - Date.now() / 1000)).toBeLessThan(60);
    const signatures = KEYS.map((key) => {
      const hmac = createHmac('sha256', key);
      for (const part of [id, '.', timestamp, '.', payload]) hmac.update(Buffer.from(part, 'utf8'));
      return `v1,${hmac.digest('base64')}`;
    });
    expect(headers['webhook-signature']).toBe(signatures.join(' '));
    expect(await rowOf(id)).toMatchObject({ tries: 1, lastStatus: 200, lastError: null, claimedUntil: null });
  });

  it('is retried with the same payload until the receiver accepts it', async () => {
    const receiver = await newReceiver((response, _request, times) => {
      response.writeHead(times < 3 ? 500 : 204).end();
    });
    const before = { retry: await attemptsCounted('retry'), delivered: await attemptsCounted('delivered') };
    const id = await addCallback(receiver.url);
    startDelivery();
    await untilDelivered(id);
    expect(await rowOf(id)).toMatchObject({ tries: 3, lastStatus: 204, gaveUpAt: null });
    expect(receiver.received.map((request) => request.id)).toEqual([id, id, id]);
    expect(new Set(receiver.received.map(({ body }) => body)).size).toBe(1);
    expect((await attemptsCounted('retry')) - before.retry).toBe(2);
    expect((await attemptsCounted('delivered')) - before.delivered).toBe(1);
  });

  it('is retried after its delay and a jitter, also when another callback wakes the pod', async () => {
    const receiver = await newReceiver((response) => response.writeHead(503).end());
    const id = await addCallback(receiver.url);
    const delivery = startDelivery({ retryDelaysMs: [600_000], random: () => 0.5, stopGraceMs: 60_000 });
    await untilAttempted(id);
    const other = await addCallback(receiver.url);
    delivery.wake();
    await untilAttempted(other);
    await delivery.stop();
    expect(receiver.received.map((request) => request.id)).toEqual([id, other]);
    const [{ waitMs } = { waitMs: 0 }] = await db
      .select({ waitMs: sql<number>`extract(epoch from ${callbacks.nextTryAt} - now())::float8 * 1000` })
      .from(callbacks)
      .where(eq(callbacks.messageId, id));
    expect(waitMs).toBeLessThanOrEqual(660_000);
    expect(waitMs).toBeGreaterThan(640_000);
  });

  it('is given up when the attempt after the last delay fails', async () => {
    const receiver = await newReceiver((response) => response.writeHead(500).end());
    const id = await addCallback(receiver.url);
    startDelivery();
    await untilGivenUp(id);
    expect(await rowOf(id)).toMatchObject({ tries: 3, lastStatus: 500, deliveredAt: null });
    expect(receiver.received).toHaveLength(3);
  });

  it('is given up without a retry when the receiver answers 410', async () => {
    const receiver = await newReceiver((response) => response.writeHead(410).end());
    const id = await addCallback(receiver.url);
    startDelivery();
    await untilGivenUp(id);
    expect(await rowOf(id)).toMatchObject({ tries: 1, lastStatus: 410 });
    expect(receiver.received).toHaveLength(1);
  });

  it.each([301, 302, 307, 308])('does not follow a redirect with status %d', async (status) => {
    const elsewhere = await newReceiver();
    const receiver = await newReceiver((response) => response.writeHead(status, { location: elsewhere.url }).end());
    const id = await addCallback(receiver.url);
    startDelivery({ retryDelaysMs: [600_000] });
    await untilAttempted(id);
    expect(await rowOf(id)).toMatchObject({ deliveredAt: null, lastStatus: status });
    expect(elsewhere.connections()).toBe(0);
  });

  it('times out without an answer, and is delivered when an answer does not end', async () => {
    const silent = await newReceiver(() => {});
    const endless = await newReceiver((response) => response.writeHead(200).write('and'));
    const ids = [await addCallback(silent.url), await addCallback(endless.url)] as const;
    startDelivery({ attemptTimeoutMs: 100, retryDelaysMs: [600_000] });
    await untilAttempted(ids[0]);
    expect(await rowOf(ids[0])).toMatchObject({ deliveredAt: null, lastStatus: null, lastError: 'TimeoutError' });
    await untilDelivered(ids[1]);
  });

  it('records the error code, without an address, when the connection is refused', async () => {
    const receiver = await newReceiver();
    await receiver.stop();
    cleanUps.pop();
    const id = await addCallback(receiver.url);
    startDelivery({ retryDelaysMs: [600_000] });
    await untilAttempted(id);
    expect(await rowOf(id)).toMatchObject({ lastStatus: null, lastError: 'ECONNREFUSED' });
  });
});

describe('a callback of an account with a secret of its own', () => {
  it('is not sent with the secrets of the deployment when the gateway has no master key', async () => {
    const receiver = await newReceiver();
    const accountId = randomUUID();
    await db.insert(accounts).values({ id: accountId, email: `${accountId}@example.com`, passwordHash: '' });
    await db.insert(callbackSecrets).values({ accountId });
    const id = await addCallback(receiver.url, { accountId });
    startDelivery({ retryDelaysMs: [600_000] });
    await untilAttempted(id);
    expect(await rowOf(id)).toMatchObject({ deliveredAt: null, lastError: 'CALLBACK_MASTER_SECRETS is not set' });
    expect(receiver.connections()).toBe(0);
  });
});

describe('a callback to a private address', () => {
  it('opens no connection when the settings no longer allow the address', async () => {
    const receiver = await newReceiver();
    const id = await addCallback(receiver.url.replace('http:', 'https:'));
    startDelivery({ settings: STRICT, retryDelaysMs: [600_000] });
    await untilAttempted(id);
    expect((await rowOf(id)).lastError).toMatch(/private or reserved address/);
    expect(receiver.connections()).toBe(0);
  });

  it('opens no connection when a host name resolves to the address', async () => {
    const receiver = await newReceiver();
    const id = await addCallback(`https://hooks.example.com:${receiver.port}/`);
    startDelivery({
      settings: STRICT,
      retryDelaysMs: [600_000],
      lookup: (_hostname, _options, resolved) => resolved(null, [{ address: '127.0.0.1', family: 4 }]),
    });
    await untilAttempted(id);
    expect(await rowOf(id)).toMatchObject({ lastStatus: null, lastError: 'ADDRESS_REFUSED' });
    expect(receiver.connections()).toBe(0);
  });
});

describe('callback delivery by several pods', () => {
  it('delivers each callback once', async () => {
    const receiver = await newReceiver();
    const ids = await Promise.all(Array.from({ length: 60 }, () => addCallback(receiver.url)));
    for (let pod = 0; pod < 3; pod += 1) startDelivery();
    for (const id of ids) await untilDelivered(id);
    expect(receiver.received.map(({ id }) => id).toSorted()).toEqual(ids.toSorted());
  });

  it('takes over a callback whose claim has expired, and none with a live claim', async () => {
    const receiver = await newReceiver();
    const claimed = await addCallback(receiver.url, { claimedUntil: new Date(Date.now() + 600_000) });
    const abandoned = await addCallback(receiver.url, { claimedUntil: new Date(Date.now() - 1) });
    const later = await addCallback(receiver.url);
    startDelivery();
    await untilDelivered(abandoned);
    await untilDelivered(later);
    expect(await rowOf(claimed)).toMatchObject({ deliveredAt: null, tries: 0 });
    expect(receiver.received.map(({ id }) => id)).not.toContain(claimed);
  });

  it('records a delivery, but not a failure, by a pod whose claim was taken over', async () => {
    const answers: ServerResponse[] = [];
    const receiver = await newReceiver((response) => answers.push(response));
    const failing = await addCallback(receiver.url);
    const delivery = startDelivery({ stopGraceMs: 60_000 });
    await waitUntil(() => answers.length === 1, { what: 'the first attempt is in flight' });
    const claimedUntil = new Date(Date.now() + 600_000);
    await db.update(callbacks).set({ claimedUntil });
    const working = await addCallback(receiver.url);
    delivery.wake();
    await waitUntil(() => answers.length === 2, { what: 'the second attempt is in flight' });
    await db.update(callbacks).set({ claimedUntil });
    answers[0]?.writeHead(500).end();
    answers[1]?.writeHead(200).end();
    await delivery.stop();
    expect(await rowOf(working)).toMatchObject({ tries: 1, lastStatus: 200, deliveredAt: expect.any(Date) });
    expect(await rowOf(failing)).toMatchObject({ tries: 0, claimedUntil, lastStatus: null });
  });
});

describe('CallbackDelivery', () => {
  it('delivers a new callback at once when it is woken', async () => {
    const receiver = await newReceiver();
    const delivery = startDelivery();
    for (let message = 0; message < 3; message += 1) {
      const id = await addCallback(receiver.url);
      delivery.wake();
      await untilDelivered(id, { deadlineMs: SOON_MS });
    }
    expect(receiver.received).toHaveLength(3);
  });

  it('delivers callbacks of other accounts while the receiver of one account hangs', async () => {
    const slow = await newReceiver(() => {});
    const accountId = randomUUID();
    await Promise.all(Array.from({ length: 100 }, () => addCallback(slow.url, { accountId })));
    const receiver = await newReceiver();
    const id = await addCallback(receiver.url);
    startDelivery();
    await untilDelivered(id, { deadlineMs: SOON_MS });
    expect(slow.received.length).toBeLessThan(32);
  });

  it('waits on stop for an attempt in flight', async () => {
    const answers: ServerResponse[] = [];
    const receiver = await newReceiver((response) => answers.push(response));
    const id = await addCallback(receiver.url);
    const delivery = startDelivery({ stopGraceMs: 60_000 });
    await waitUntil(() => answers.length === 1, { what: 'the attempt is in flight' });
    const stopped = delivery.stop();
    answers[0]?.end();
    await stopped;
    expect(await rowOf(id)).toMatchObject({ tries: 1, lastStatus: 200 });
  });

  it('releases on stop the claim of an attempt that does not end, and another pod delivers the callback', async () => {
    const receiver = await newReceiver((response, _request, times) => times > 1 && response.end());
    const id = await addCallback(receiver.url);
    const delivery = startDelivery();
    await waitUntil(() => receiver.received.length === 1, { what: 'the attempt is in flight' });
    await delivery.stop();
    expect(await rowOf(id)).toMatchObject({ tries: 0, claimedUntil: null, deliveredAt: null });
    startDelivery();
    await untilDelivered(id, { deadlineMs: SOON_MS });
  });
});

describe('CallbackDelivery while Postgres is down', () => {
  async function openThroughProxy(): Promise<{ proxy: TcpProxy; proxied: Database }> {
    const { hostname, port } = new URL(postgres.url);
    const proxy = await TcpProxy.to({ host: hostname, port: Number(port) });
    const url = new URL(postgres.url);
    url.port = String(proxy.port);
    const proxied = openDatabase(url.href, { connectTimeoutMs: 500 });
    cleanUps.push(
      () => proxy.close(),
      () => proxied.$client.end(),
    );
    return { proxy, proxied };
  }

  /** Collects log lines about callbacks from now on. */
  function collectLog(): string[] {
    const lines: string[] = [];
    const keep = (event: unknown, ...rest: unknown[]): void => {
      if (rest.at(-1) === 'callbacks') lines.push(JSON.stringify([event, ...rest]));
    };
    Logger.overrideLogger({ log: keep, warn: keep, error: keep });
    cleanUps.push(() => Promise.resolve(Logger.overrideLogger(false)));
    return lines;
  }

  it('logs the outage once, without payloads, and delivers when Postgres is back', async () => {
    const log = collectLog();
    const { proxy, proxied } = await openThroughProxy();
    proxy.goDown();
    const receiver = await newReceiver();
    const id = await addCallback(receiver.url);
    const delivery = startDelivery({}, proxied);
    await waitUntil(() => log.length > 0, { what: 'the outage is logged' });
    for (let wakes = 0; wakes < 20; wakes += 1) delivery.wake();
    proxy.comeBack();
    await untilDelivered(id);
    await waitUntil(() => log.length > 1, { what: 'the recovery is logged' });
    expect(log.map((line) => JSON.parse(line)[0])).toEqual(['callback delivery is down', 'callback delivery is back']);
    expect(log.join()).not.toMatch(/hooks|params|status/);
  });

  it('keeps the outcomes of attempts, so that no callback is delivered twice', async () => {
    const answers: ServerResponse[] = [];
    const receiver = await newReceiver((response) => answers.push(response));
    const { proxy, proxied } = await openThroughProxy();
    const log = collectLog();
    const ids = [await addCallback(receiver.url), await addCallback(receiver.url), await addCallback(receiver.url)];
    startDelivery({}, proxied);
    await waitUntil(() => answers.length === 3, { what: 'the attempts are in flight' });
    proxy.goDown();
    for (const answer of answers) answer.end();
    await waitUntil(() => log.length > 0, { what: 'the outage is logged' });
    proxy.comeBack();
    for (const id of ids) await untilDelivered(id);
    expect(receiver.received).toHaveLength(3);
    expect(log.filter((line) => line.includes('callback delivery is down'))).toHaveLength(1);
  });
});

describe('a gateway', () => {
  it('delivers due callbacks, and releases the claim of an attempt in flight when it stops', async () => {
    const receiver = await newReceiver((response, { path }) => path === '/hooks' && response.end());
    const [quick, endless] = [await addCallback(receiver.url), await addCallback(`${receiver.url}/endless`)];
    const stack = await startStack({
      apps: ['gateway'],
      env: {
        DATABASE_URL: postgres.url,
        CALLBACK_SECRETS: KEYS.map((key) => `whsec_${key.toString('base64')}`).join(','),
        CALLBACK_ALLOW_PRIVATE: 'true',
      },
    });
    cleanUps.push(() => stack.stop());
    await untilDelivered(quick);
    await waitUntil(() => receiver.received.length === 2, { what: 'the other attempt is in flight' });
    await stack.process('gateway-1').stop();
    expect(await rowOf(endless)).toMatchObject({ tries: 0, claimedUntil: null });
    expect(stack.log.filter(({ level }) => level === 'error' || level === 'warn')).toEqual([]);
  });
});
