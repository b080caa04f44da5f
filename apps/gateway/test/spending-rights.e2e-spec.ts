import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { finished, login, postMessage, recordOf, statsOf } from '../../../test/support/client.js';
import { type Stack, startStack } from '../../../test/support/stack.js';
import { waitUntil } from '../../../tools/stack/wait-until.js';
import { patchAccount } from './accounts.js';
import { untilFreeIsBlocked } from './quota-of.js';

let stack: Stack;
let gateway: string;
let admin: string;

beforeAll(async () => {
  stack = await startStack({ pods: 2, env: { FREE_LIMIT: '1', FREE_BLOCK_MS: '3600000' } });
  gateway = stack.origin.gateway;
  admin = await login(gateway, 'admin@octo.local');
  await untilFreeIsBlocked(gateway, await login(gateway));
});
afterAll(() => stack.stop());

const patch = (email: string, changes: object) => patchAccount(gateway, admin, { email, patch: changes });
const soon = (ms: number): string => new Date(Date.now() + ms).toISOString();

async function waitingMessage(cookie: string, deliverInMs: number): Promise<string> {
  const body = { message: 'a', deliverBy: soon(deliverInMs) };
  const answer = await postMessage(gateway, cookie, body, { prefer: 'respond-async' });
  expect(answer.status).toBe(202);
  return answer.body.id ?? '';
}

describe('a message that waits', () => {
  it('is not paid for once its account has no paid access any more, and says so when it expires', async () => {
    const id = await waitingMessage(await login(gateway), 5_000);
    await patch('paid@octo.local', { paidAccess: false });
    const before = (await statsOf(stack.origin.paid)).accepted;
    const cookie = await login(gateway);
    expect(await finished(gateway, cookie, id)).toMatchObject({ status: 'expired', reason: 'paid_access_required' });
    expect((await statsOf(stack.origin.paid)).accepted).toBe(before);
    await patch('paid@octo.local', { paidAccess: true });
  });

  it('is not paid for beyond the budget, and says so when it expires', async () => {
    const cookie = await login(gateway);
    const id = await waitingMessage(cookie, 5_000);
    await patch('paid@octo.local', { budget: { dayMicros: 0 } });
    expect(await finished(gateway, cookie, id)).toMatchObject({ status: 'expired', reason: 'budget_exhausted' });
    await patch('paid@octo.local', { budget: {} });
  });

  it('is cancelled when its account is disabled, whose tokens every pod refuses within a second', async () => {
    const cookie = await login(gateway);
    const ids = await Promise.all([60_000, 70_000].map((ms) => waitingMessage(cookie, ms)));
    const events = await fetch(`${gateway}/messages/${ids[0] ?? ''}/events`, { headers: { cookie } });
    await patch('paid@octo.local', { disabled: true });
    const areRefused = async (): Promise<boolean> => {
      const answers = await Promise.all(stack.gateways.map((origin) => postMessage(origin, cookie)));
      return answers.every(({ status }) => status === 401);
    };
    await waitUntil(areRefused, { what: 'every pod refuses the token', deadlineMs: 1_000, everyMs: 20 });
    // Ends with the session.
    await events.text();
    await patch('paid@octo.local', { disabled: false });
    const again = await login(gateway);
    for (const id of ids) {
      const { body } = await recordOf(gateway, again, id);
      expect(body).toMatchObject({ status: 'cancelled', detail: 'The account was disabled.' });
    }
  });
});
