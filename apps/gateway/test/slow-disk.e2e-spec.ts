import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { inParallel, login, postMessage, recordOf, statsOf } from '../../../test/support/client.js';
import { type Stack, startStack } from '../../../test/support/stack.js';
import { waitUntil } from '../../../tools/stack/wait-until.js';
import { type ProxiedPostgres, startProxiedPostgres } from '../../../test/support/proxied-postgres.js';
import { quotaOf } from './quota-of.js';

const FREE_LIMIT = 10;
/** A permit must be used within 500 ms. */
const SLOW_MS = 700;

let postgres: ProxiedPostgres;
let stack: Stack;
let gateway: string;
let cookie: string;

beforeAll(async () => {
  postgres = await startProxiedPostgres();
  stack = await startStack({
    env: { DATABASE_URL: postgres.url, FREE_LIMIT: String(FREE_LIMIT), FREE_BLOCK_MS: '60000' },
  });
  gateway = stack.origin.gateway;
  cookie = await login(gateway, 'paid@octo.local');
});
afterEach(() => postgres.proxy.delayReplies(0));
afterAll(async () => {
  await stack.stop();
  await postgres.stop();
});

const post = () => postMessage(gateway, cookie, { message: 'slow' }, { 'idempotency-key': randomUUID() });

/** The gateway counts as many used slots as the provider has accepted requests. */
async function expectCounted(count: number): Promise<void> {
  expect(await statsOf(stack.origin.free)).toMatchObject({ accepted: count, refused: 0 });
  await waitUntil(async () => (await quotaOf(gateway, cookie)).used === count, {
    what: `the quota counts ${count} used slots`,
    deadlineMs: 10_000,
  });
}

describe('a message with an idempotency key, when each write to Postgres takes longer than a permit lives', () => {
  it('is delivered by the free provider, which counts it once', async () => {
    postgres.proxy.delayReplies(SLOW_MS);
    const { status, body } = await post();
    expect({ status, body }).toMatchObject({
      status: 200,
      body: { provider: 'free', attempts: [{ provider: 'free', outcome: 'delivered' }] },
    });
    expect(body.attempts).toHaveLength(1);
    await expectCounted(1);
    const record = await recordOf(gateway, cookie, body.id ?? '');
    expect(record.body).toMatchObject({ status: 'delivered', attempts: body.attempts });
  });

  it('is delivered by the free provider also when such messages take every slot of the window at once', async () => {
    const left = FREE_LIMIT - (await statsOf(stack.origin.free)).accepted;
    postgres.proxy.delayReplies(SLOW_MS);
    const answers = await inParallel(left, left, post);
    expect(answers.map(({ status, body }) => ({ status, provider: body.provider }))).toEqual(
      answers.map(() => ({ status: 200, provider: 'free' })),
    );
    await expectCounted(FREE_LIMIT);
    expect(await statsOf(stack.origin.paid)).toMatchObject({ accepted: 0 });
  });
});
