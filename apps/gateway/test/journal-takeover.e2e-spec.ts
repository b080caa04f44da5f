import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { eq } from 'drizzle-orm';
import { type Database, messages, migrate, openDatabase } from '#database';
import { startPostgres } from '../../../verification/engines/suite-postgres.js';
import { CallbackDelivery } from '../src/callbacks/callback-delivery.service.js';
import { PendingCallbacks } from '../src/callbacks/pending-callbacks.js';
import { delivered, neverKnown } from '../src/delivery/after-attempt.js';
import type { GatewaySettings } from '../src/gateway.settings.js';
import { Journal } from '../src/journal/journal.service.js';
import { addHop, type Message, newMessage } from '../src/journal/message.js';
import { ensurePartitions } from '../src/journal/partitions.js';
import type { Provider } from '../src/providers/providers-file.js';

const PROVIDER: Provider = {
  name: 'one',
  url: 'http://127.0.0.1',
  priceMicros: 7,
  timeoutMs: 1_000,
  headers: {},
  idempotent: false,
  quota: undefined,
};

let postgres: Awaited<ReturnType<typeof startPostgres>>;
let db: Database;
let journal: Journal;

beforeAll(async () => {
  postgres = await startPostgres();
  db = openDatabase(postgres.url);
  await migrate(db);
  await ensurePartitions(db, new Date());
  const settings = { JOURNAL_DOWN: 'refuse', CALLBACK_SECRETS: [] } as unknown as GatewaySettings;
  const callbacks = new CallbackDelivery(new PendingCallbacks(db), { settings });
  journal = new Journal(db, { currency: 'USD', providers: [PROVIDER] }, settings, callbacks);
});
afterAll(async () => {
  journal.onApplicationShutdown();
  await db.$client.end();
  await postgres.stop();
});

/** On its way, as two pods know it: the one that sent it, and one that believes the first dead. */
async function onItsWay(): Promise<{ ours: Message; theirs: Message }> {
  const ours = newMessage({
    message: 'a',
    deliverBy: undefined,
    callbackUrl: undefined,
    accountId: randomUUID(),
    mayPay: true,
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

it('a message that was taken over is delivered all the same when the first pod knows that it was', async () => {
  const { ours, theirs } = await onItsWay();
  expect(await journal.change(theirs, neverKnown(theirs, PROVIDER))).toBe(true);
  expect(await rowOf(ours)).toMatchObject({ status: 'unknown', costMicros: 0 });

  const isOurs = await journal.change(ours, delivered(ours, { provider: PROVIDER, response: 'b' }));
  expect(isOurs).toBe(false);
  expect(await rowOf(ours)).toMatchObject({ status: 'delivered', provider: 'one', costMicros: 7, reason: null });
});

it('nothing else that the first pod says counts any more', async () => {
  const { ours, theirs } = await onItsWay();
  await journal.change(theirs, delivered(theirs, { provider: PROVIDER, response: 'b' }));
  expect(await journal.change(ours, neverKnown(ours, PROVIDER))).toBe(false);
  expect(await rowOf(ours)).toMatchObject({ status: 'delivered', costMicros: 7 });
});
