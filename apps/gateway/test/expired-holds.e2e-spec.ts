import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, expect, it } from '@jest/globals';
import { eq } from 'drizzle-orm';
import { Redis } from 'ioredis';
import { accounts, type Database, ledgerEntries, migrate, openDatabase } from '#database';
import { openQuotaRedis } from '#quota';
import type { RedisConnection } from '#redis';
import { RedisServer } from '../../../verification/engines/redis-server.js';
import { startPostgres } from '../../../verification/engines/suite-postgres.js';
import { waitUntil } from '../../../tools/stack/wait-until.js';
import { CallbackDelivery } from '../src/callbacks/callback-delivery.service.js';
import { PendingCallbacks } from '../src/callbacks/pending-callbacks.service.js';
import type { GatewaySettings } from '../src/gateway.settings.js';
import { Journal } from '../src/journal/journal.service.js';
import { addHop, markDelivered, type Message, newMessage } from '../src/message.js';
import { BUDGET_KEYS } from '../src/money/budget-store.js';
import { AccountRightsService } from '../src/money/account-rights.service.js';
import { ExpiredHolds } from '../src/money/expired-holds.service.js';
import { Ledger } from '../src/money/ledger.service.js';
import { Spending } from '../src/money/spending.service.js';
import type { Provider, ProvidersFile } from '../src/providers/providers-file.js';

const PROVIDER = { name: 'paid', account: 'paid', key: 'paid', priceMicros: 10, currency: 'USD', timeoutMs: 1_000 };
const SETTINGS = {
  JOURNAL_DOWN: 'refuse',
  CALLBACK_SECRETS: [],
  BUDGET_TIME_ZONE: 'UTC',
  BUDGET_UNCOUNTED_MICROS: 0,
} as unknown as GatewaySettings;
const CONFIG = {
  currency: 'USD',
  providers: [PROVIDER as unknown as Provider],
  channels: new Map(),
  redact: (text: string) => text,
} as ProvidersFile;

let postgres: Awaited<ReturnType<typeof startPostgres>>;
let server: RedisServer;
let db: Database;
let redis: Redis;
let accountId: string;
const pods: { redis: RedisConnection; journal: Journal; holds: ExpiredHolds; spending: Spending }[] = [];

beforeAll(async () => {
  postgres = await startPostgres();
  server = await RedisServer.start();
  db = openDatabase(postgres.url);
  await migrate(db);
  redis = new Redis(server.url);
});
afterAll(async () => {
  for (const pod of pods) {
    await pod.holds.beforeApplicationShutdown();
    await pod.spending.onApplicationShutdown();
    pod.journal.onApplicationShutdown();
    pod.redis.disconnect();
  }
  redis?.disconnect();
  await db?.$client.end();
  await server?.remove();
  await postgres?.stop();
});
beforeEach(async () => {
  accountId = randomUUID();
  const row = { id: accountId, email: `${accountId}@octo.local`, passwordHash: '', paidAccess: true };
  await db.insert(accounts).values({ ...row, budgetDayMicros: 10 });
});

/** What a gateway has of budgets. */
async function newPod() {
  const connection = openQuotaRedis(server.url);
  const ledger = new Ledger(db);
  const spending = new Spending(connection, SETTINGS, CONFIG, new AccountRightsService(db), ledger);
  const callbacks = new CallbackDelivery(new PendingCallbacks(db), { settings: SETTINGS });
  const journal = new Journal(db, CONFIG, SETTINGS, callbacks, spending);
  const pod = { redis: connection, spending, journal, holds: new ExpiredHolds(spending, ledger) };
  pods.push(pod);
  await waitUntil(() => connection.status === 'ready', { what: 'Redis is connected' });
  await spending.onApplicationBootstrap();
  return pod;
}

function message(): Message {
  const request = {
    accountId,
    channel: 'default',
    message: 'a',
    mayPay: true,
    priority: 'normal' as const,
    requestId: 'r',
    traceparent: '',
  };
  return newMessage({
    ...request,
    deliverBy: undefined,
    callbackUrl: undefined,
    idempotencyKey: undefined,
    fingerprint: undefined,
  });
}

const entries = () => db.select().from(ledgerEntries).where(eq(ledgerEntries.accountId, accountId));

const expireHolds = async (): Promise<void> => {
  for (const id of await redis.zrange(BUDGET_KEYS.expiring, '0', '-1')) await redis.zadd(BUDGET_KEYS.expiring, 0, id);
};

it('counts a message of a dead pod that has no record as spent, until its record comes after all', async () => {
  const [dead, other] = [await newPod(), await newPod()];
  const lost = message();
  expect(await dead.spending.hold(lost, PROVIDER as unknown as Provider)).toBeUndefined();
  await expireHolds();
  other.holds.onApplicationBootstrap();
  await waitUntil(async () => (await entries()).length === 1, { what: 'an entry is written' });
  expect(await entries()).toMatchObject([
    { kind: 'unconfirmed', messageId: lost.id, amountMicros: 10, provider: 'paid' },
  ]);
  expect(await other.spending.hold(message(), PROVIDER as unknown as Provider)).toMatchObject({ reason: 'budget' });

  addHop(lost, { step: 'sending', provider: 'paid' });
  await dead.journal.insert(
    lost,
    markDelivered(lost, { provider: { ...PROVIDER, idempotent: true }, response: 'b', costMicros: 8 }),
  );
  await waitUntil(async () => (await entries()).length === 3, { what: 'the entry is corrected', deadlineMs: 20_000 });
  const amounts = (await entries()).map(({ kind, amountMicros }) => [kind, amountMicros]);
  expect(Object.fromEntries(amounts)).toEqual({ unconfirmed: 10, paid: 8, correction: -10 });
});
