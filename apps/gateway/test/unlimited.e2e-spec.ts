import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { finished, login, postMessage, setFaults } from '../../../test/support/client.js';
import { type Stack, startStack } from '../../../test/support/stack.js';

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

let dir: string;
let stack: Stack;
let cookie: string;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'octo-unlimited-'));
  const file = join(dir, 'providers.yaml');
  writeFileSync(file, PROVIDERS);
  stack = await startStack({ env: { PROVIDERS_FILE: file, FREE_POLICY: 'unlimited' } });
  cookie = await login(stack.origin.gateway, 'free@octo.local');
});
afterAll(async () => {
  await stack.stop();
  rmSync(dir, { recursive: true, force: true });
});

it('who may not pay is served later by a free provider without a quota, also when it fails at first', async () => {
  await setFaults(stack.origin.free, { errorRate: 1, times: 2 });
  const { gateway } = stack.origin;
  const { status, body } = await postMessage(gateway, cookie, { message: 'abc' }, { prefer: 'respond-async' });
  expect(status).toBe(202);
  const record = await finished(gateway, cookie, body.id ?? '');
  expect(record).toMatchObject({ status: 'delivered', provider: 'free', response: 'cba' });
  expect(record.attempts.map(({ outcome }) => outcome)).toEqual(['failed', 'failed', 'delivered']);
});
