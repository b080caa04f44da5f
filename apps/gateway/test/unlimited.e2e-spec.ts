import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { finished, login, postMessage, setFaults } from '../../../test/support/client.js';
import type { Stack } from '../../../test/support/stack.js';
import { startWithProviders } from './start-with-providers.js';

const PROVIDERS = `
currency: USD
providers:
  - name: free
    url: '\${FREE_PROVIDER_URL}'
    priceMicros: 0
  - name: paid
    url: '\${PAID_PROVIDER_URL}'
    priceMicros: 2500
`;

let stack: Stack;
let cookie: string;

beforeAll(async () => {
  stack = await startWithProviders(PROVIDERS, { env: { FREE_POLICY: 'unlimited' } });
  cookie = await login(stack.origin.gateway, 'free@octo.local');
});
afterAll(() => stack.stop());

it('a waiting message that may not be paid for is delivered by a free provider without a quota that fails at first', async () => {
  await setFaults(stack.origin.free, { errorRate: 1, times: 2 });
  const { gateway } = stack.origin;
  const { status, body } = await postMessage(gateway, cookie, { message: 'abc' }, { prefer: 'respond-async' });
  expect(status).toBe(202);
  const record = await finished(gateway, cookie, body.id ?? '');
  expect(record).toMatchObject({ status: 'delivered', provider: 'free', response: 'cba' });
  expect(record.attempts.map(({ outcome }) => outcome)).toEqual(['failed', 'failed', 'delivered']);
});
