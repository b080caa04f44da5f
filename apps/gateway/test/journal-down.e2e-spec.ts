import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { listOf, login, postMessage, statsOf } from '../../../test/support/client.js';
import { startPostgres } from '../../../verification/engines/suite-postgres.js';
import { type Stack, startStack } from '../../../test/support/stack.js';
import { TcpProxy } from '../../../verification/engines/tcp-proxy.js';
import { waitUntil } from '../../../tools/stack/wait-until.js';

let postgres: { url: string; stop: () => Promise<void> };
let proxy: TcpProxy;
let refusing: Stack;
let continuing: Stack;
let cookies: { refusing: string; continuing: string };

beforeAll(async () => {
  postgres = await startPostgres();
  const url = new URL(postgres.url);
  proxy = await TcpProxy.to({ host: url.hostname, port: Number(url.port) });
  url.port = String(proxy.port);
  // One after the other: the embedded engine migrates once.
  refusing = await startStack({ env: { DATABASE_URL: url.href } });
  continuing = await startStack({ env: { DATABASE_URL: url.href, JOURNAL_DOWN: 'continue' } });
  cookies = {
    refusing: await login(refusing.origin.gateway),
    continuing: await login(continuing.origin.gateway),
  };
});
afterEach(() => proxy.comeBack());
afterAll(async () => {
  await Promise.all([refusing.stop(), continuing.stop()]);
  await proxy.close();
  await postgres.stop();
});

const accepted = async ({ origin }: Stack): Promise<number> =>
  (await statsOf(origin.free)).accepted + (await statsOf(origin.paid)).accepted;

/** The pod has noticed: nothing is sent any more. */
async function untilRefused({ origin }: Stack, cookie: string): Promise<void> {
  await waitUntil(async () => (await postMessage(origin.gateway, cookie, { message: 'a' })).status === 503, {
    what: 'it is noticed',
  });
}

describe('while Postgres is down', () => {
  it('nothing is sent that cannot be recorded, and what was sent is recorded when it is back', async () => {
    const { gateway } = refusing.origin;
    expect((await postMessage(gateway, cookies.refusing)).status).toBe(200);
    proxy.goDown();
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
    proxy.comeBack();
    await waitUntil(async () => (await postMessage(gateway, cookies.refusing)).status === 200, { what: 'it is back' });
    const delivered = async (): Promise<number> =>
      (await listOf(gateway, cookies.refusing, 'status=delivered&limit=100')).body.items.length;
    await waitUntil(async () => (await delivered()) === (await accepted(refusing)), { what: 'all are recorded' });
  });

  it('messages without a key go on when told to, and are recorded later; nothing else is accepted', async () => {
    const { gateway } = continuing.origin;
    expect((await postMessage(gateway, cookies.continuing)).status).toBe(200);
    proxy.goDown();
    const sent = [await postMessage(gateway, cookies.continuing), await postMessage(gateway, cookies.continuing)];
    expect(sent.map(({ status }) => status)).toEqual([200, 200]);
    const later = await postMessage(gateway, cookies.continuing, { message: 'a' }, { prefer: 'respond-async' });
    expect(later.status).toBe(503);
    const keyed = { 'idempotency-key': randomUUID() };
    expect((await postMessage(gateway, cookies.continuing, { message: 'a' }, keyed)).status).toBe(503);
    proxy.comeBack();
    const ids = async (): Promise<string[]> =>
      (await listOf(gateway, cookies.continuing, 'limit=100')).body.items?.map(({ id }) => id) ?? [];
    const areRecorded = async (): Promise<boolean> => {
      const recorded = await ids();
      return sent.every(({ body }) => recorded.includes(body.id ?? ''));
    };
    await waitUntil(areRecorded, { what: 'they are recorded' });
  });
});
