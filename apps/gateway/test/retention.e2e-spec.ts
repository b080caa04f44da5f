import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { sql } from 'drizzle-orm';
import { v7 as uuidv7 } from 'uuid';
import {
  callbacks,
  type Database,
  ensurePartitions,
  idempotencyKeys,
  messages,
  migrate,
  openDatabase,
} from '#database';
import { startPostgres } from '../../../verification/engines/suite-postgres.js';
import type { GatewaySettings } from '../src/gateway.settings.js';
import { Retention } from '../src/journal/retention.service.js';

const DAY_MS = 86_400_000;
const NOW = new Date();
const LONG_AGO = new Date(NOW.getTime() - 40 * DAY_MS);
const ACCOUNT = randomUUID();

let postgres: Awaited<ReturnType<typeof startPostgres>>;
let db: Database;

beforeAll(async () => {
  postgres = await startPostgres();
  db = openDatabase(postgres.url);
  await migrate(db);
  await ensurePartitions(db, LONG_AGO);
});
afterAll(async () => {
  await db.$client.end();
  await postgres.stop();
});

function messageOf(createdAt: Date, status: 'delivered' | 'waiting'): typeof messages.$inferInsert {
  return {
    id: uuidv7({ msecs: createdAt.getTime() }),
    accountId: ACCOUNT,
    status,
    text: Buffer.from('secret'),
    response: Buffer.from('terces'),
    mayPay: false,
    requestId: 'request',
    traceparent: '',
    costMicros: 0,
    currency: 'USD',
    createdAt,
    hops: [],
  };
}

it('Retention deletes old texts of ended messages, old keys and old callbacks, and nothing else', async () => {
  const old = Array.from({ length: 2_500 }, () => messageOf(LONG_AGO, 'delivered'));
  const kept = [messageOf(LONG_AGO, 'waiting'), messageOf(NOW, 'delivered')];
  for (const rows of [old, kept]) await db.insert(messages).values(rows);
  const key = (name: string, expiresAt: Date) => ({
    accountId: ACCOUNT,
    key: name,
    fingerprint: '',
    messageId: randomUUID(),
    expiresAt,
  });
  await db.insert(idempotencyKeys).values([key('old', LONG_AGO), key('new', new Date(NOW.getTime() + DAY_MS))]);
  const callback = (deliveredAt: Date) => ({
    messageId: randomUUID(),
    accountId: ACCOUNT,
    url: '',
    payload: '',
    deliveredAt,
  });
  await db.insert(callbacks).values([callback(LONG_AGO), callback(NOW)]);

  const retention = new Retention(db, { MESSAGE_RETENTION_DAYS: 30 } as GatewaySettings);
  await retention.runNow(NOW);

  const withText = await db
    .select({ id: messages.id })
    .from(messages)
    .where(sql`text is not null`);
  expect(withText.map(({ id }) => id).toSorted()).toEqual(kept.map(({ id }) => id).toSorted());
  expect(await db.$count(messages)).toBe(old.length + kept.length);
  expect((await db.select().from(idempotencyKeys)).map((row) => row.key)).toEqual(['new']);
  expect(await db.$count(callbacks)).toBe(1);

  // A message that waited until now is found by the next process, whose first run checks all messages.
  await db
    .update(messages)
    .set({ status: 'delivered' })
    .where(sql`status = 'waiting'`);
  await new Retention(db, { MESSAGE_RETENTION_DAYS: 30 } as GatewaySettings).runNow(NOW);
  expect(await db.$count(messages, sql`text is not null`)).toBe(1);
});
