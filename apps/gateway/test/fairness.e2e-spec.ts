import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { finished, inParallel, login, postMessage, recordOf } from '../../../test/support/client.js';
import { type Stack, startStack } from '../../../test/support/stack.js';
import { untilFreeIsBlocked } from './quota-of.js';

const FREE_LIMIT = 6;
const FREE_BLOCK_MS = 2_000;
const HOUR_MS = 3_600_000;

let stack: Stack;
let gateway: string;
let heavy: string;
let light: string;

beforeAll(async () => {
  stack = await startStack({ pods: 2, env: { FREE_LIMIT: String(FREE_LIMIT), FREE_BLOCK_MS: String(FREE_BLOCK_MS) } });
  gateway = stack.origin.gateway;
  [heavy, light] = await Promise.all([login(gateway, 'paid@octo.local'), login(gateway, 'free@octo.local')]);
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
  });
});
