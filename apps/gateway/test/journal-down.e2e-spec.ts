import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { listOf, login, postMessage, statsOf } from '../../../test/support/client.js';
import { type Stack, startStack } from '../../../test/support/stack.js';
import { waitUntil } from '../../../tools/stack/wait-until.js';
import { type ProxiedPostgres, startProxiedPostgres } from '../../../test/support/proxied-postgres.js';

let postgres: ProxiedPostgres;
let refusing: Stack;
let continuing: Stack;
let cookies: { refusing: string; continuing: string };

beforeAll(async () => {
  postgres = await startProxiedPostgres();
  // One after the other: the embedded engine migrates once.
  refusing = await startStack({ env: { DATABASE_URL: postgres.url } });
  continuing = await startStack({ env: { DATABASE_URL: postgres.url, JOURNAL_DOWN: 'continue' } });
  cookies = {
    refusing: await login(refusing.origin.gateway),
    continuing: await login(continuing.origin.gateway),
  };
});
afterEach(() => postgres.proxy.comeBack());
afterAll(async () => {
  await Promise.all([refusing.stop(), continuing.stop()]);
  await postgres.stop();
});

const accepted = async ({ origin }: Stack): Promise<number> =>
  (await statsOf(origin.free)).accepted + (await statsOf(origin.paid)).accepted;

/** The pod has noticed the outage and refuses messages. */
async function untilRefused({ origin }: Stack, cookie: string): Promise<void> {
  await waitUntil(async () => (await postMessage(origin.gateway, cookie, { message: 'a' })).status === 503, {
    what: 'the gateway answers 503',
  });
}

describe('POST /messages while Postgres is down', () => {
  it('answers 503 and sends nothing, and records every sent message when Postgres is back', async () => {
    const { gateway } = refusing.origin;
    expect((await postMessage(gateway, cookies.refusing)).status).toBe(200);
    postgres.proxy.goDown();
    await untilRefused(refusing, cookies.refusing);
    const before = await accepted(refusing);
    for (const [body, headers] of [
      [{ message: 'plain' }, {}],
      [{ message: 'keyed' }, { 'idempotency-key': randomUUID() }],
      [{ message: 'later' }, { prefer: 'respond-async' }],
    ] as const) {
      const answer = await postMessage(gateway, cookies.refusing, body, headers);
      expect({ status: answer.status, code: answer.body.code }).toEqual({ status: 503, code: 'unavailable' });
      expect(answer.headers.get('retry-after')).not.toBeNull();
    }
    expect(await accepted(refusing)).toBe(before);
    postgres.proxy.comeBack();
    await waitUntil(async () => (await postMessage(gateway, cookies.refusing)).status === 200, {
      what: 'the gateway answers 200',
    });
    const delivered = async (): Promise<number> =>
      (await listOf(gateway, cookies.refusing, 'status=delivered&limit=100')).body.items.length;
    await waitUntil(async () => (await delivered()) === (await accepted(refusing)), {
      what: 'every sent message is recorded',
    });
  });

  it('with JOURNAL_DOWN=continue sends messages without a key, records them later, and refuses others with 503', async () => {
    const { gateway } = continuing.origin;
    expect((await postMessage(gateway, cookies.continuing)).status).toBe(200);
    postgres.proxy.goDown();
    const sent = [await postMessage(gateway, cookies.continuing), await postMessage(gateway, cookies.continuing)];
    expect(sent.map(({ status }) => status)).toEqual([200, 200]);
    const later = await postMessage(gateway, cookies.continuing, { message: 'a' }, { prefer: 'respond-async' });
    expect(later.status).toBe(503);
    const keyed = { 'idempotency-key': randomUUID() };
    expect((await postMessage(gateway, cookies.continuing, { message: 'a' }, keyed)).status).toBe(503);
    postgres.proxy.comeBack();
    const ids = async (): Promise<string[]> =>
      (await listOf(gateway, cookies.continuing, 'limit=100')).body.items?.map(({ id }) => id) ?? [];
    const areRecorded = async (): Promise<boolean> => {
      const recorded = await ids();
      return sent.every(({ body }) => recorded.includes(body.id ?? ''));
    };
    await waitUntil(areRecorded, { what: 'the sent messages are recorded' });
  });
});
