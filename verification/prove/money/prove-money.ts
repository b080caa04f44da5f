// `npm run prove -- money [--quick] [--seed N] [--markdown FILE]`: accounts with budgets send more than they may pay for, first
// while gateways are killed, then while Redis is emptied. The log of the paid provider says what was spent.
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { sql } from 'drizzle-orm';
import { Redis } from 'ioredis';
import { z } from 'zod';
import { hashOfApiKey, newApiKey, prefixOfApiKey } from '#access-token';
import { acceptedRequestsSchema } from '#contracts';
import { accounts, apiKeys, type Database, openDatabase } from '#database';
import { BUDGET_KEYS } from '../../../apps/gateway/src/money/budget-store.js';
import { checkLedger } from '../../../tools/ledger/check-ledger.js';
import { waitUntil } from '../../../tools/stack/wait-until.js';
import { untilSettled } from '../../testbed/journal.js';
import { Octo, setFaults } from '../../testbed/octo.js';
import { commandOf, publish } from '../../testbed/results.js';
import { exitWithoutEngines } from '../../testbed/testbed.js';
import { type Finding, tableOf } from '../finding.js';
import { Poster } from '../poster.js';
import { readSeededOptions } from '../seeded-options.js';
import { seededRandom } from '../seeded-random.js';

const PRICE_MICROS = 2_500;
const ACCOUNTS = 20;
/** The share of the messages during which gateways are killed. */
const KILL_SHARE = 0.6;
/** So slow that a killed gateway has messages in flight. */
const LATENCY_MS = 80;
/** Most messages that one account sends after the faults to use up its budget. */
const FILL_MAX = 2_000;
const SETTLE_MS = 120_000;

interface Extent {
  messages: number;
  perSecond: number;
  pods: number;
  kills: number;
}

const FULL: Extent = { messages: 10_000, perSecond: 80, pods: 4, kills: 24 };
const QUICK: Extent = { messages: 600, perSecond: 60, pods: 2, kills: 3 };

interface Payer {
  id: string;
  authorization: string;
  budgetMicros: number;
}

/** @returns the exit code */
export async function proveMoney(args: string[]): Promise<number> {
  const { isQuick, seed, markdown } = readSeededOptions(args);
  exitWithoutEngines();
  const extent = isQuick ? QUICK : FULL;
  const env = { MESSAGES_PER_SECOND: '100000', QUOTA_WHEN_FORGOTTEN: 'blocked' };
  const octo = await Octo.start({ pods: extent.pods, limit: 1, blockMs: 86_400_000, env });
  const db = openDatabase(octo.stack.databaseUrl, { connections: 2 });
  const redis = new Redis(octo.testbed.redis.url);
  try {
    console.log(`seed ${seed}`);
    const finding = await prove({ octo, db, redis }, extent, seededRandom(seed));
    const table = tableOf(finding);
    publish(
      { title: 'The money proof', command: commandOf('prove', ['money', ...args]), tables: [table] },
      { markdown },
    );
    const missed = table.notes?.length ?? 0;
    console.log(missed === 0 ? 'every goal met' : `${missed} goals missed`);
    return missed === 0 ? 0 : 1;
  } finally {
    redis.disconnect();
    await db.$client.end();
    await octo.stop();
  }
}

interface Engines {
  octo: Octo;
  db: Database;
  redis: Redis;
}

async function prove({ octo, db, redis }: Engines, extent: Extent, random: () => number): Promise<Finding> {
  const payers = await createPayers(db, extent, random);
  const poster = new Poster(octo.origins.gateways, '');
  // The only free message.
  await poster.post({ message: 'free' }, { authorization: payers[0]?.authorization ?? '' });
  await setFaults(octo.origins.paid, { latencyMs: LATENCY_MS });
  const send = (share: number) => sendAll(poster, { payers, extent, share, random });
  const [killed] = await Promise.all([killGateways(octo, { extent, random }), send(KILL_SHARE)]);
  const endedMs = performance.now();
  await untilNothingIsHeld(octo, redis);
  const settledMs = performance.now() - endedMs;
  // Not at the same time: a message that both its gateway and Redis lose leaves no trace (docs/money.md, Limits).
  const emptying = delay(durationMs(extent) * (1 - KILL_SHARE) * 0.5).then(() => redis.flushall());
  await Promise.all([emptying, send(1 - KILL_SHARE)]);
  await Promise.all(payers.map((payer) => useUp(poster, payer)));
  await untilNothingIsHeld(octo, redis);
  await poster.close();
  const { differences, entries } = await checkLedger({ db, redis });
  const spent = await spentOf(octo, db);
  const over = payers.filter(({ id, budgetMicros }) => (spent.charged.get(id) ?? 0) > budgetMicros).length;
  const unused = payers.reduce(
    (sum, { id, budgetMicros }) => sum + Math.max(0, budgetMicros - (spent.inLedger.get(id) ?? 0)),
    0,
  );
  for (const difference of differences) console.log(difference);
  return {
    title: `${extent.messages} messages of ${ACCOUNTS} accounts, ${extent.pods} gateways, then Redis emptied`,
    figures: [
      ['gateways killed', killed],
      ['sum of the budgets, in messages', payers.reduce((sum, payer) => sum + payer.budgetMicros, 0) / PRICE_MICROS],
      ['accepted by the paid provider', spent.accepted],
      ['entries in the ledger', entries],
      ['in the ledger, but never accepted: gateway killed before the send', spent.neverSent],
      ['accepted, but not in the ledger', spent.missing],
      ['accounts over their budget', over],
      ['budget that could not be spent, in messages', unused / PRICE_MICROS],
      ['differences between ledger, journal and budgets', differences.length],
      ['seconds until what the dead gateways held was settled', Math.ceil(settledMs / 1_000)],
    ],
    goals: [
      [over === 0, 'no account spends more than its budget'],
      [unused === 0, 'every budget can be spent'],
      [spent.missing === 0, 'the ledger has everything that was accepted'],
      [differences.length === 0, 'ledger, journal and budgets agree'],
    ],
  };
}

/** Accounts that together may pay for about four fifths of the messages. */
async function createPayers(db: Database, { messages }: Extent, random: () => number): Promise<Payer[]> {
  const payers = Array.from({ length: ACCOUNTS }, () => {
    const share = Math.floor((messages / ACCOUNTS) * (0.5 + 0.6 * random()));
    return { id: randomUUID(), key: newApiKey(), budgetMicros: share * PRICE_MICROS };
  });
  await db.insert(accounts).values(
    payers.map(({ id, budgetMicros }) => ({
      id,
      email: `${id}@octo.local`,
      passwordHash: '',
      paidAccess: true,
      budgetDayMicros: budgetMicros,
    })),
  );
  await db.insert(apiKeys).values(
    payers.map(({ id, key }) => ({
      accountId: id,
      name: 'proof',
      hash: hashOfApiKey(key),
      prefix: prefixOfApiKey(key),
    })),
  );
  return payers.map(({ id, key, budgetMicros }) => ({ id, authorization: `Bearer ${key}`, budgetMicros }));
}

function durationMs({ messages, perSecond }: Extent): number {
  return (messages / perSecond) * 1_000;
}

/** Sends a share of the messages, each at its moment. */
async function sendAll(
  poster: Poster,
  { payers, extent, share, random }: { payers: readonly Payer[]; extent: Extent; share: number; random: () => number },
): Promise<void> {
  const startMs = performance.now();
  const sending = Array.from({ length: Math.round(extent.messages * share) }, async (_, index) => {
    const { authorization = '' } = payers[Math.floor(random() * payers.length)] ?? {};
    const key = random() < 0.5 ? { 'idempotency-key': randomUUID() } : {};
    await delay(Math.max(0, (index / extent.perSecond) * 1_000 - (performance.now() - startMs)));
    await poster.post({ message: 'a' }, { authorization, ...key });
  });
  await Promise.all(sending);
}

/** Kills gateways while the first messages are sent. @returns how many */
async function killGateways(octo: Octo, { extent, random }: { extent: Extent; random: () => number }): Promise<number> {
  const stepMs = (durationMs(extent) * KILL_SHARE) / extent.kills;
  let killed = 0;
  for (let kill = 0; kill < extent.kills; kill += 1) {
    await delay(stepMs * (0.5 + 0.5 * random()));
    const running = octo.stack.processes.filter(({ name, pid }) => name.startsWith('gateway') && pid !== undefined);
    const victim = running[Math.floor(random() * running.length)];
    victim?.kill('SIGKILL');
    if (victim !== undefined) killed += 1;
  }
  return killed;
}

/** Sends messages of one account until its budget is reached. */
async function useUp(poster: Poster, { authorization }: Payer): Promise<void> {
  for (let sent = 0; sent < FILL_MAX; sent += 1) {
    const { status } = await poster.post({ message: 'a' }, { authorization });
    if (status === 402) return;
    if (status !== 200) await delay(200);
  }
}

/** What dead gateways held is settled when their holds expire. */
async function untilNothingIsHeld(octo: Octo, redis: Redis): Promise<void> {
  await untilSettled(octo.stack.databaseUrl, SETTLE_MS);
  const isSettled = async (): Promise<boolean> => (await redis.hlen(BUDGET_KEYS.holds)) === 0;
  await waitUntil(isSettled, { what: 'nothing is held', deadlineMs: SETTLE_MS, everyMs: 250 });
}

const entryRows = z.array(z.object({ message_id: z.uuid(), account_id: z.uuid(), micros: z.coerce.number() }));

/** What the provider accepted, and what the ledger has, by account. */
async function spentOf(octo: Octo, db: Database) {
  const answer = await fetch(`${octo.origins.paid}/stats/accepted`);
  const accepted = new Set(acceptedRequestsSchema.parse(await answer.json()).items.map(({ key }) => key));
  const { rows } = await db.execute(
    sql`select message_id, account_id, sum(amount_micros) as micros from ledger_entries group by 1, 2`,
  );
  const charged = new Map<string, number>();
  const inLedger = new Map<string, number>();
  let neverSent = 0;
  let known = 0;
  for (const { message_id, account_id, micros } of entryRows.parse(rows)) {
    inLedger.set(account_id, (inLedger.get(account_id) ?? 0) + micros);
    if (accepted.has(message_id)) {
      known += 1;
      charged.set(account_id, (charged.get(account_id) ?? 0) + PRICE_MICROS);
    } else neverSent += 1;
  }
  return { accepted: accepted.size, charged, inLedger, neverSent, missing: accepted.size - known };
}
