import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { inParallel, login, postMessage, statsOf } from '../../../test/support/client.js';
import { type ProxiedPostgres, startProxiedPostgres } from '../../../test/support/proxied-postgres.js';
import { type Stack, startStack } from '../../../test/support/stack.js';
import { waitUntil } from '../../../tools/stack/wait-until.js';

let postgres: ProxiedPostgres;
let stack: Stack;
let cookie: string;

beforeAll(async () => {
  postgres = await startProxiedPostgres();
  stack = await startStack({ env: { DATABASE_URL: postgres.url, WAITING_MESSAGES_MAX: '20' } });
  cookie = await login(stack.origin.gateway);
});
afterAll(async () => {
  await stack.stop();
  await postgres.stop();
});

const acceptedByProviders = async (): Promise<number> =>
  (await statsOf(stack.origin.free)).accepted + (await statsOf(stack.origin.paid)).accepted;

describe('a gateway whose Postgres is slower than its traffic', () => {
  it('answers 503 before it sends what it could not record in time', async () => {
    postgres.proxy.delayReplies(700);
    try {
      // The first batch tells how slow Postgres is.
      expect((await postMessage(stack.origin.gateway, cookie)).status).toBe(200);
      const before = await acceptedByProviders();
      const answers = await inParallel(600, 600, () => postMessage(stack.origin.gateway, cookie));
      // A slow machine may record later than a caller waits.
      const wasSent = ({ status, body }: (typeof answers)[number]): boolean =>
        status === 200 || body.detail?.startsWith('The message was sent, but could not be recorded yet.') === true;
      const refused = answers.filter((answer) => !wasSent(answer));
      expect(refused.length).toBeGreaterThan(0);
      expect(refused.filter(({ status }) => status !== 503)).toEqual([]);
      expect((await acceptedByProviders()) - before).toBe(answers.length - refused.length);
    } finally {
      postgres.proxy.delayReplies(0);
    }
  });
});

describe('an account with too many waiting messages', () => {
  it('gets 429 for the next one, and none of the others is affected', async () => {
    const later = { prefer: 'respond-async' };
    const isFast = async () => (await postMessage(stack.origin.gateway, cookie)).status === 200;
    await waitUntil(isFast, { what: 'the gateway has forgotten that Postgres was slow' });
    const free = await login(stack.origin.gateway, 'free@octo.local');
    const deliverBy = new Date(Date.now() + 3_600_000).toISOString();
    const body = { message: 'a', deliverBy, paid: 'never' };
    const statuses: number[] = [];
    for (let sent = 0; sent < 60 && statuses.at(-1) !== 429; sent += 1) {
      statuses.push((await postMessage(stack.origin.gateway, free, body, later)).status);
    }
    expect(statuses.slice(0, 20).every((status) => status === 202)).toBe(true);
    expect(statuses.at(-1)).toBe(429);
    expect((await postMessage(stack.origin.gateway, cookie, body, later)).status).toBe(202);
  });
});
