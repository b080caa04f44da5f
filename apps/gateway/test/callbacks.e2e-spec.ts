import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { createHmac, randomBytes, randomUUID } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { Logger } from '@nestjs/common';
import { eq, sql } from 'drizzle-orm';
import { callbacks, type Database, migrate, openDatabase } from '#database';
import { startPostgres } from '../../../verification/engines/suite-postgres.js';
import { startStack } from '../../../test/support/stack.js';
import { TcpProxy } from '../../../verification/engines/tcp-proxy.js';
import { waitUntil } from '../../../tools/stack/wait-until.js';
import { CallbackDelivery, type DeliveryOptions } from '../src/callbacks/callback-delivery.service.js';
import { callbackTries } from '../src/callbacks/callback-metrics.js';
import type { CallbackSettings } from '../src/callbacks/callback-settings.js';
import { PendingCallbacks } from '../src/callbacks/pending-callbacks.service.js';
import { type Receiver, startReceiver } from './receiver.js';

const KEYS = [randomBytes(32), randomBytes(24)];
const LOCAL: CallbackSettings = { CALLBACK_SECRETS: KEYS, CALLBACK_HOSTS: [], CALLBACK_ALLOW_PRIVATE: true };
const STRICT: CallbackSettings = { ...LOCAL, CALLBACK_ALLOW_PRIVATE: false };
/** Less than the 5 s after which an idle pod looks around by itself. */
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

async function receiving(...args: Parameters<typeof startReceiver>): Promise<Receiver> {
  const receiver = await startReceiver(...args);
  cleanUps.push(() => receiver.stop());
  return receiver;
}

/** A pod's delivery; it does not wait between tries, as far as a test does not say so. */
function delivering(options: Partial<DeliveryOptions> = {}, database = db): CallbackDelivery {
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

async function finished(url: string, more: Partial<typeof callbacks.$inferInsert> = {}): Promise<string> {
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

const delivered = (messageId: string, deadlineMs?: number): Promise<void> =>
  waitUntil(async () => (await rowOf(messageId)).deliveredAt !== null, {
    what: 'delivered',
    ...withDeadline(deadlineMs),
  });
const tried = (messageId: string, times = 1): Promise<void> =>
  waitUntil(async () => (await rowOf(messageId)).tries >= times, { what: `tried ${times} times` });
const withDeadline = (deadlineMs: number | undefined) => (deadlineMs === undefined ? {} : { deadlineMs });

const triesOf = async (outcome: string): Promise<number> =>
  (await callbackTries.get()).values.find(({ labels }) => labels.outcome === outcome)?.value ?? 0;

describe('a callback', () => {
  it('carries the stored bytes, signed with every key', async () => {
    const receiver = await receiving();
    const payload = '{ "id" : "as stored",\n "response": "größer 🐙" }';
    const id = await finished(`${receiver.url}?a=b#c`, { payload });
    delivering();
    await delivered(id);
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

  it('is sent again, the same, when the receiver failed', async () => {
    const receiver = await receiving((response, _request, times) => {
      response.writeHead(times < 3 ? 500 : 204).end();
    });
    const before = { retry: await triesOf('retry'), delivered: await triesOf('delivered') };
    const id = await finished(receiver.url);
    delivering();
    await delivered(id);
    expect(await rowOf(id)).toMatchObject({ tries: 3, lastStatus: 204, gaveUpAt: null });
    expect(receiver.received.map((request) => request.id)).toEqual([id, id, id]);
    expect(new Set(receiver.received.map(({ body }) => body)).size).toBe(1);
    expect((await triesOf('retry')) - before.retry).toBe(2);
    expect((await triesOf('delivered')) - before.delivered).toBe(1);
  });

  it('is not sent again before its wait is over, a jitter included', async () => {
    const receiver = await receiving((response) => response.writeHead(503).end());
    const id = await finished(receiver.url);
    const delivery = delivering({ retryDelaysMs: [600_000], random: () => 0.5, stopGraceMs: 60_000 });
    await tried(id);
    const other = await finished(receiver.url);
    delivery.wake();
    await tried(other);
    await delivery.stop();
    expect(receiver.received.map((request) => request.id)).toEqual([id, other]);
    const [{ waitMs } = { waitMs: 0 }] = await db
      .select({ waitMs: sql<number>`extract(epoch from ${callbacks.nextTryAt} - now())::float8 * 1000` })
      .from(callbacks)
      .where(eq(callbacks.messageId, id));
    expect(waitMs).toBeLessThanOrEqual(660_000);
    expect(waitMs).toBeGreaterThan(640_000);
  });

  it('is given up after the last wait', async () => {
    const receiver = await receiving((response) => response.writeHead(500).end());
    const id = await finished(receiver.url);
    delivering();
    await waitUntil(async () => (await rowOf(id)).gaveUpAt !== null, { what: 'given up' });
    expect(await rowOf(id)).toMatchObject({ tries: 3, lastStatus: 500, deliveredAt: null });
    expect(receiver.received).toHaveLength(3);
  });

  it('is given up at once when the receiver is gone', async () => {
    const receiver = await receiving((response) => response.writeHead(410).end());
    const id = await finished(receiver.url);
    delivering();
    await waitUntil(async () => (await rowOf(id)).gaveUpAt !== null, { what: 'given up' });
    expect(await rowOf(id)).toMatchObject({ tries: 1, lastStatus: 410 });
    expect(receiver.received).toHaveLength(1);
  });

  it.each([301, 302, 307, 308])('is not taken elsewhere by a %d', async (status) => {
    const elsewhere = await receiving();
    const receiver = await receiving((response) => response.writeHead(status, { location: elsewhere.url }).end());
    const id = await finished(receiver.url);
    delivering({ retryDelaysMs: [600_000] });
    await tried(id);
    expect(await rowOf(id)).toMatchObject({ deliveredAt: null, lastStatus: status });
    expect(elsewhere.connections()).toBe(0);
  });

  it('does not wait for ever for an answer, nor for its end', async () => {
    const silent = await receiving(() => {});
    const endless = await receiving((response) => response.writeHead(200).write('and'));
    const ids = [await finished(silent.url), await finished(endless.url)] as const;
    delivering({ tryTimeoutMs: 100, retryDelaysMs: [600_000] });
    await tried(ids[0]);
    expect(await rowOf(ids[0])).toMatchObject({ deliveredAt: null, lastStatus: null, lastError: 'TimeoutError' });
    await delivered(ids[1]);
  });

  it('tells why there was no answer without naming addresses', async () => {
    const receiver = await receiving();
    await receiver.stop();
    cleanUps.pop();
    const id = await finished(receiver.url);
    delivering({ retryDelaysMs: [600_000] });
    await tried(id);
    expect(await rowOf(id)).toMatchObject({ lastStatus: null, lastError: 'ECONNREFUSED' });
  });
});

describe('where callbacks must not go', () => {
  it('an address that is no longer allowed is not connected to', async () => {
    const receiver = await receiving();
    const id = await finished(receiver.url.replace('http:', 'https:'));
    delivering({ settings: STRICT, retryDelaysMs: [600_000] });
    await tried(id);
    expect((await rowOf(id)).lastError).toMatch(/private or reserved address/);
    expect(receiver.connections()).toBe(0);
  });

  it('a name that resolves to a private address is not connected to', async () => {
    const receiver = await receiving();
    const id = await finished(`https://hooks.example.com:${receiver.port}/`);
    delivering({
      settings: STRICT,
      retryDelaysMs: [600_000],
      lookup: (_hostname, _options, found) => found(null, [{ address: '127.0.0.1', family: 4 }]),
    });
    await tried(id);
    expect(await rowOf(id)).toMatchObject({ lastStatus: null, lastError: 'ADDRESS_REFUSED' });
    expect(receiver.connections()).toBe(0);
  });
});

describe('several pods', () => {
  it('deliver each callback once', async () => {
    const receiver = await receiving();
    const ids = await Promise.all(Array.from({ length: 60 }, () => finished(receiver.url)));
    for (let pod = 0; pod < 3; pod += 1) delivering();
    for (const id of ids) await delivered(id);
    expect(receiver.received.map(({ id }) => id).toSorted()).toEqual(ids.toSorted());
  });

  it('take over what a dead one was at, and nothing of a living one', async () => {
    const receiver = await receiving();
    const inFlight = await finished(receiver.url, { claimedUntil: new Date(Date.now() + 600_000) });
    const orphan = await finished(receiver.url, { claimedUntil: new Date(Date.now() - 1) });
    const later = await finished(receiver.url);
    delivering();
    await delivered(orphan);
    await delivered(later);
    expect(await rowOf(inFlight)).toMatchObject({ deliveredAt: null, tries: 0 });
    expect(receiver.received.map(({ id }) => id)).not.toContain(inFlight);
  });

  it('do not believe the failure of one whose claim was taken over, but its success', async () => {
    const answers: ServerResponse[] = [];
    const receiver = await receiving((response) => answers.push(response));
    const failing = await finished(receiver.url);
    const delivery = delivering({ stopGraceMs: 60_000 });
    await waitUntil(() => answers.length === 1, { what: 'the first is in flight' });
    const claimedUntil = new Date(Date.now() + 600_000);
    await db.update(callbacks).set({ claimedUntil });
    const working = await finished(receiver.url);
    delivery.wake();
    await waitUntil(() => answers.length === 2, { what: 'the second is in flight' });
    await db.update(callbacks).set({ claimedUntil });
    answers[0]?.writeHead(500).end();
    answers[1]?.writeHead(200).end();
    await delivery.stop();
    expect(await rowOf(working)).toMatchObject({ tries: 1, lastStatus: 200, deliveredAt: expect.any(Date) });
    expect(await rowOf(failing)).toMatchObject({ tries: 0, claimedUntil, lastStatus: null });
  });
});

describe('delivery', () => {
  it('begins at once when it is woken', async () => {
    const receiver = await receiving();
    const delivery = delivering();
    for (let message = 0; message < 3; message += 1) {
      const id = await finished(receiver.url);
      delivery.wake();
      await delivered(id, SOON_MS);
    }
    expect(receiver.received).toHaveLength(3);
  });

  it('is not held up by an account whose receiver is slow', async () => {
    const slow = await receiving(() => {});
    const accountId = randomUUID();
    await Promise.all(Array.from({ length: 100 }, () => finished(slow.url, { accountId })));
    const receiver = await receiving();
    const id = await finished(receiver.url);
    delivering();
    await delivered(id, SOON_MS);
    expect(slow.received.length).toBeLessThan(32);
  });

  it('lets a try in flight end when it is stopped', async () => {
    const answers: ServerResponse[] = [];
    const receiver = await receiving((response) => answers.push(response));
    const id = await finished(receiver.url);
    const delivery = delivering({ stopGraceMs: 60_000 });
    await waitUntil(() => answers.length === 1, { what: 'it is in flight' });
    const stopped = delivery.stop();
    answers[0]?.end();
    await stopped;
    expect(await rowOf(id)).toMatchObject({ tries: 1, lastStatus: 200 });
  });

  it('gives back what does not end, for another pod to take at once', async () => {
    const receiver = await receiving((response, _request, times) => times > 1 && response.end());
    const id = await finished(receiver.url);
    const delivery = delivering();
    await waitUntil(() => receiver.received.length === 1, { what: 'it is in flight' });
    await delivery.stop();
    expect(await rowOf(id)).toMatchObject({ tries: 0, claimedUntil: null, deliveredAt: null });
    delivering();
    await delivered(id, SOON_MS);
  });
});

describe('while Postgres is down', () => {
  async function throughProxy(): Promise<{ proxy: TcpProxy; far: Database }> {
    const { hostname, port } = new URL(postgres.url);
    const proxy = await TcpProxy.to({ host: hostname, port: Number(port) });
    const url = new URL(postgres.url);
    url.port = String(proxy.port);
    const far = openDatabase(url.href, { connectTimeoutMs: 500 });
    cleanUps.push(
      () => proxy.close(),
      () => far.$client.end(),
    );
    return { proxy, far };
  }

  /** What was logged about callbacks from now on. */
  function logOfCallbacks(): string[] {
    const lines: string[] = [];
    const keep = (event: unknown, ...rest: unknown[]): void => {
      if (rest.at(-1) === 'callbacks') lines.push(JSON.stringify([event, ...rest]));
    };
    Logger.overrideLogger({ log: keep, warn: keep, error: keep });
    cleanUps.push(() => Promise.resolve(Logger.overrideLogger(false)));
    return lines;
  }

  it('delivery waits, says so once without a word of what it delivers, and goes on', async () => {
    const log = logOfCallbacks();
    const { proxy, far } = await throughProxy();
    proxy.goDown();
    const receiver = await receiving();
    const id = await finished(receiver.url);
    const delivery = delivering({}, far);
    await waitUntil(() => log.length > 0, { what: 'it is said' });
    for (let wakes = 0; wakes < 20; wakes += 1) delivery.wake();
    proxy.comeBack();
    await delivered(id);
    await waitUntil(() => log.length > 1, { what: 'the end is said' });
    expect(log.map((line) => JSON.parse(line)[0])).toEqual([
      'callbacks wait for the database',
      'callbacks are delivered again',
    ]);
    expect(log.join()).not.toMatch(/hooks|params|status/);
  });

  it('what came of tries is kept, so that each receiver is told once', async () => {
    const answers: ServerResponse[] = [];
    const receiver = await receiving((response) => answers.push(response));
    const { proxy, far } = await throughProxy();
    const log = logOfCallbacks();
    const ids = [await finished(receiver.url), await finished(receiver.url), await finished(receiver.url)];
    delivering({}, far);
    await waitUntil(() => answers.length === 3, { what: 'they are in flight' });
    proxy.goDown();
    for (const answer of answers) answer.end();
    await waitUntil(() => log.length > 0, { what: 'the outcomes cannot be written' });
    proxy.comeBack();
    for (const id of ids) await delivered(id);
    expect(receiver.received).toHaveLength(3);
    expect(log.filter((line) => line.includes('wait for the database'))).toHaveLength(1);
  });
});

describe('a gateway', () => {
  it('delivers what is due, and stops cleanly in the middle of it', async () => {
    const receiver = await receiving((response, { path }) => path === '/hooks' && response.end());
    const [quick, endless] = [await finished(receiver.url), await finished(`${receiver.url}/endless`)];
    const stack = await startStack({
      apps: ['gateway'],
      env: {
        DATABASE_URL: postgres.url,
        CALLBACK_SECRETS: KEYS.map((key) => `whsec_${key.toString('base64')}`).join(','),
        CALLBACK_ALLOW_PRIVATE: 'true',
      },
    });
    cleanUps.push(() => stack.stop());
    await delivered(quick);
    await waitUntil(() => receiver.received.length === 2, { what: 'the other is in flight' });
    await stack.process('gateway-1').stop();
    expect(await rowOf(endless)).toMatchObject({ tries: 0, claimedUntil: null });
    expect(stack.log.filter(({ level }) => level === 'error' || level === 'warn')).toEqual([]);
  });
});
