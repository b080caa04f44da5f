import { afterAll, beforeAll, expect, it } from '@jest/globals';
import type { Usage } from '#contracts';
import { call, inParallel, login, postMessage } from '../../../test/support/client.js';
import type { Stack } from '../../../test/support/stack.js';
import { patchAccount } from './accounts.js';
import { startWithProviders } from './start-with-providers.js';

const PRICE_MICROS = 2_500;
/** A message of one, two or three characters costs half of the price, the price, or one and a half times the price. */
const PROVIDERS = `
currency: USD
providers:
  - name: paid
    url: '\${PAID_PROVIDER_URL}'
    priceMicros: ${PRICE_MICROS}
    cost: $length(body.response) * ${PRICE_MICROS / 2}
    idempotent: true
`;

let stack: Stack;

beforeAll(async () => {
  stack = await startWithProviders(PROVIDERS, { pods: 2, env: { MESSAGES_PER_SECOND: '100000' } });
});
afterAll(() => stack.stop());

it('spending ends at the limit, give or take a message, whatever the provider really charges', async () => {
  const { gateway } = stack.origin;
  const [admin, paid] = await Promise.all([login(gateway, 'admin@octo.local'), login(gateway)]);
  const limitMicros = 100 * PRICE_MICROS;
  await patchAccount(gateway, admin, { email: 'paid@octo.local', patch: { budget: { dayMicros: limitMicros } } });
  const post = (index: number) =>
    postMessage(stack.gateways[index % 2] ?? '', paid, { message: 'a'.repeat(1 + (index % 3)) });
  const answers = await inParallel(300, 20, post);
  // What was held too much is free again: the rest of the budget is spent one by one.
  for (let index = 0; index < 10 && answers.at(-1)?.status !== 402; index += 1) answers.push(await post(2));
  expect(answers.at(-1)?.status).toBe(402);
  const { body } = await call<Usage>(`${gateway}/usage`, { headers: { cookie: paid } });
  expect(body.paid.costMicros).toBeGreaterThan(limitMicros - 1.5 * PRICE_MICROS);
  expect(body.paid.costMicros).toBeLessThanOrEqual(limitMicros + 1.5 * PRICE_MICROS);
});
