import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { FreeShare } from '#contracts';
import { call, finished, inParallel, login, postMessage, recordOf, statsOf } from '../../../test/support/client.js';
import { type Stack, startStack } from '../../../test/support/stack.js';
import { waitUntil } from '../../../tools/stack/wait-until.js';
import { patchAccount } from './accounts.js';
import { untilFreeIsBlocked, untilFreeIsOpen } from './quota-of.js';

const FREE_LIMIT = 6;
const FREE_BLOCK_MS = 2_000;
const HOUR_MS = 3_600_000;

let stack: Stack;
let gateway: string;
let heavy: string;
let light: string;
let admin: string;

beforeAll(async () => {
  stack = await startStack({ pods: 2, env: { FREE_LIMIT: String(FREE_LIMIT), FREE_BLOCK_MS: String(FREE_BLOCK_MS) } });
  gateway = stack.origin.gateway;
  [heavy, light, admin] = await Promise.all([
    login(gateway, 'paid@octo.local'),
    login(gateway, 'free@octo.local'),
    login(gateway, 'admin@octo.local'),
  ]);
});
afterAll(() => stack.stop());

/** Accepts messages that wait for free quota. */
async function waiting(cookie: string, { count, deliverInMs }: { count: number; deliverInMs: number }) {
  const body = { message: 'a', paid: 'never', deliverBy: new Date(Date.now() + deliverInMs).toISOString() };
  const answers = await inParallel(count, 10, () => postMessage(gateway, cookie, body, { prefer: 'respond-async' }));
  expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 202));
  return answers.map(({ body: answer }) => answer.id ?? '');
}

async function deliveredAt(cookie: string, ids: string[]): Promise<number[]> {
  const records = await inParallel(ids.length, 4, (index) => finished(gateway, cookie, ids[index] ?? '', 60_000));
  return records.map(({ deliveredAt: at }) => Date.parse(at ?? '')).toSorted((one, other) => one - other);
}

describe('waiting messages of two accounts', () => {
  it('go out in turn, although one account came first with many', async () => {
    await untilFreeIsBlocked(gateway, heavy);
    const ofHeavy = await waiting(heavy, { count: 5 * FREE_LIMIT, deliverInMs: HOUR_MS });
    const ofLight = await waiting(light, { count: FREE_LIMIT, deliverInMs: 2 * HOUR_MS });
    const lastOfLight = (await deliveredAt(light, ofLight)).at(-1) ?? 0;
    const records = await inParallel(ofHeavy.length, 4, (index) => recordOf(gateway, heavy, ofHeavy[index] ?? ''));
    const before = records.filter(({ body: { deliveredAt: at } }) => at !== null && Date.parse(at) <= lastOfLight);
    // As many as of the light account, and those of a window that was open before its messages came.
    expect(before.length).toBeLessThanOrEqual(2 * FREE_LIMIT);
    const cancel = (id: string) => call(`${gateway}/messages/${id}`, { method: 'DELETE', headers: { cookie: heavy } });
    await inParallel(ofHeavy.length, 4, (index) => cancel(ofHeavy[index] ?? ''));
  });
});

describe('with free shares', () => {
  it('two accounts with equal shares get half of every window each, however much one of them asks for', async () => {
    await setShares({ ofHeavy: 'equal', ofLight: 'equal' });
    const isOver = new AbortController();
    const sends = { heavy: 0, light: 0 };
    const ask = async (who: 'heavy' | 'light', cookie: string): Promise<void> => {
      while (!isOver.signal.aborted) {
        const { status } = await postMessage(gateway, cookie, { message: 'a', paid: 'never' });
        if (status === 200) sends[who] += 1;
      }
    };
    const asking = [ask('light', light), ...Array.from({ length: 8 }, () => ask('heavy', heavy))];
    const windowsAre = async (count: number): Promise<void> => {
      const isOverIn = async () => (await statsOf(stack.origin.free)).windows.length >= count;
      await waitUntil(isOverIn, { what: `window ${count} has begun`, deadlineMs: 60_000 });
    };
    const { length } = (await statsOf(stack.origin.free)).windows;
    // In the first window, light has not asked when heavy does.
    await windowsAre(length + 2);
    const before = { ...sends };
    await windowsAre(length + 5);
    const got = { heavy: sends.heavy - before.heavy, light: sends.light - before.light };
    isOver.abort();
    await Promise.all(asking);
    // The first and the last window are counted in part.
    expect(got.light).toBeGreaterThanOrEqual(2 * (FREE_LIMIT / 2));
    expect(got.heavy).toBeLessThanOrEqual(4 * (FREE_LIMIT / 2));
  });

  it('an account gets as many requests of a window as its share, and then 429 when it may not pay', async () => {
    await setShares({ ofHeavy: 'all', ofLight: 2 });
    await untilFreeIsBlocked(gateway, heavy);
    await untilFreeIsOpen(gateway, heavy);
    const answers = await inParallel(5, 5, (index) => postMessage(stack.gateways[index % 2] ?? '', light));
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(2);
    const refused = answers.filter(({ status }) => status !== 200);
    expect(refused.map(({ status, body }) => [status, body.code])).toEqual(
      Array.from({ length: 3 }, () => [429, 'too_many_requests']),
    );
    expect(Number(refused[0]?.headers.get('retry-after'))).toBeGreaterThan(0);
  });

  it('waiting messages go beyond no share, and take slots that others leave', async () => {
    await untilFreeIsBlocked(gateway, heavy);
    const ids = await waiting(light, { count: 4, deliverInMs: HOUR_MS });
    const isDelivered = async (id: string) => (await recordOf(gateway, light, id)).body.status === 'delivered';
    const delivered = async () => (await Promise.all(ids.map(isDelivered))).filter(Boolean).length;
    await waitUntil(async () => (await delivered()) === 2, { what: 'two are delivered' });
    await untilFreeIsBlocked(gateway, heavy);
    await waitUntil(async () => (await delivered()) === 4, { what: 'all are delivered' });
  });
});

/** Known to every pod when this returns. */
async function setShares({ ofHeavy, ofLight }: { ofHeavy: FreeShare; ofLight: FreeShare }): Promise<void> {
  // While the share is 0 the window stays open.
  for (const [heavyShare, lightShare, status] of [
    [0, 0, 429],
    [ofHeavy, ofLight, 200],
  ] as const) {
    await patchAccount(gateway, admin, { email: 'paid@octo.local', patch: { freeShare: heavyShare } });
    await patchAccount(gateway, admin, { email: 'free@octo.local', patch: { freeShare: lightShare } });
    for (const pod of stack.gateways) {
      for (const cookie of [heavy, light]) {
        const isKnown = async () => (await postMessage(pod, cookie, { message: 'a', paid: 'never' })).status === status;
        await waitUntil(isKnown, { what: `the share is known: ${status}`, deadlineMs: 30_000 });
      }
    }
  }
}
