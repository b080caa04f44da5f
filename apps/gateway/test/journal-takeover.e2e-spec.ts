import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { eq } from 'drizzle-orm';
import { v7 as uuidv7 } from 'uuid';
import { type Database, messages, migrate, openDatabase } from '#database';
import { startPostgres } from '../../../verification/engines/suite-postgres.js';
import { CallbackDelivery } from '../src/callbacks/callback-delivery.service.js';
import { openQuotaRedis } from '#quota';
import type { RedisConnection } from '#redis';
import { AccountRightsService } from '../src/money/account-rights.service.js';
import { Ledger } from '../src/money/ledger.service.js';
import { Spending } from '../src/money/spending.service.js';
import { PendingCallbacks } from '../src/callbacks/pending-callbacks.service.js';
import type { GatewaySettings } from '../src/gateway.settings.js';
import { Claims } from '../src/journal/claims.service.js';
import { Journal } from '../src/journal/journal.service.js';
import { addHop, markDelivered, markUnknown, type Message, newMessage } from '../src/message.js';
import type { ProvidersFile } from '../src/providers/providers-file.js';

const PROVIDER = { name: 'one', account: 'one', key: 'one', priceMicros: 7, idempotent: false };

let postgres: Awaited<ReturnType<typeof startPostgres>>;
let db: Database;
let journal: Journal;
let redis: RedisConnection;

beforeAll(async () => {
  postgres = await startPostgres();
  db = openDatabase(postgres.url);
  await migrate(db);
  const settings = {
    JOURNAL_DOWN: 'refuse',
    CALLBACK_SECRETS: [],
    BUDGET_TIME_ZONE: 'UTC',
  } as unknown as GatewaySettings;
  const callbacks = new CallbackDelivery(new PendingCallbacks(db), { settings });
  const config: ProvidersFile = { currency: 'USD', providers: [], channels: new Map(), redact: (text) => text };
  redis = openQuotaRedis(process.env['TEST_REDIS_URL'] ?? '');
  const spending = new Spending(redis, settings, config, new AccountRightsService(db), new Ledger(db));
  journal = new Journal(db, config, settings, callbacks, spending);
});
afterAll(async () => {
  journal.onApplicationShutdown();
  redis.disconnect();
  await db.$client.end();
  await postgres.stop();
});

/** A message in flight as two pods know it: the pod that sent it, and one that believes the first dead. */
async function inFlight(): Promise<{ ours: Message; theirs: Message }> {
  const ours = newMessage({
    channel: 'default',
    message: 'a',
    deliverBy: undefined,
    callbackUrl: undefined,
    accountId: randomUUID(),
    mayPay: true,
    priority: 'normal',
    idempotencyKey: undefined,
    fingerprint: undefined,
    requestId: 'request',
    traceparent: '',
  });
  addHop(ours, { step: 'sending', provider: 'one' });
  await journal.insert(ours, { status: 'sending', claimMs: 1 });
  return { ours, theirs: { ...ours, hops: [...ours.hops] } };
}

async function rowOf({ id }: Message) {
  const [row] = await db.select().from(messages).where(eq(messages.id, id));
  return row;
}

it('records a delivery by a pod that was believed dead after another pod took over', async () => {
  const { ours, theirs } = await inFlight();
  expect(await journal.change(theirs, markUnknown(theirs, PROVIDER))).toBe(true);
  expect(await rowOf(ours)).toMatchObject({ status: 'unknown', costMicros: 0 });

  const isOurs = await journal.change(ours, markDelivered(ours, { provider: PROVIDER, response: 'b', costMicros: 7 }));
  expect(isOurs).toBe(false);
  expect(await rowOf(ours)).toMatchObject({ status: 'delivered', provider: 'one', costMicros: 7, reason: null });
});

it('ignores every other change by a pod whose message was taken over', async () => {
  const { ours, theirs } = await inFlight();
  await journal.change(theirs, markDelivered(theirs, { provider: PROVIDER, response: 'b', costMicros: 7 }));
  expect(await journal.change(ours, markUnknown(ours, PROVIDER))).toBe(false);
  expect(await rowOf(ours)).toMatchObject({ status: 'delivered', costMicros: 7 });
});

it('claims the waiting messages of an account by priority, and those of the same priority by the time at which they must be sent', async () => {
  const claims = new Claims(db);
  const inMs = (ms: number): Date => new Date(Date.now() + ms);
  const waiting: [Message['priority'], Date][] = [
    ['bulk', inMs(1_000)],
    ['normal', inMs(9_000)],
    ['normal', inMs(5_000)],
    ['urgent', inMs(60_000)],
  ];
  const channel = `channel-${randomUUID()}`;
  const accountId = randomUUID();
  for (const [priority, sendBy] of waiting) {
    const message = { ...(await inFlight()).ours, id: uuidv7(), accountId, channel, priority, sendBy, hopsOnDisk: 0 };
    await journal.insert(message, { status: 'waiting' });
  }
  const slot = {
    place: { provider: 'one' },
    channels: [channel],
    epoch: undefined,
    lastChanceMs: 3_600_000,
    quota: 'one',
    shares: {},
    count: 1,
    claimMs: 1_000,
  };
  const claimed: Message[] = [];
  for (let count = 0; count < waiting.length; count += 1) claimed.push(...(await claims.claimForSlots(slot)));
  expect(claimed.map(({ priority }) => priority)).toEqual(['urgent', 'normal', 'normal', 'bulk']);
  expect(claimed[1]?.sendBy).toEqual(waiting[2]?.[1]);
});
