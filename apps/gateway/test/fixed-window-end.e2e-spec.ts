import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import type { MessageRecord } from '#contracts';
import { login, postMessage, recordOf } from '../../../test/support/client.js';
import { type Stack, startStack } from '../../../test/support/stack.js';
import { waitUntil } from '../../../tools/stack/wait-until.js';

const LIMIT = 60;
const WINDOW_MS = 10_000;
/** So slow that the quota of a window is never used up by urgent messages alone, and fast enough to be no lull. */
const URGENT_EVERY_MS = 500;

let dir: string;
let stack: Stack;
let cookie: string;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'octo-window-'));
  const file = join(dir, 'providers.yaml');
  writeFileSync(
    file,
    `currency: USD
providers:
  - name: free
    url: '\${FREE_PROVIDER_URL}'
    priceMicros: 0
    quota: { policy: fixed-window, limit: ${LIMIT}, windowMs: ${WINDOW_MS} }
  - { name: paid, url: '\${PAID_PROVIDER_URL}', priceMicros: 2500 }
`,
  );
  const env = { FREE_POLICY: 'fixed-window', FREE_LIMIT: String(LIMIT), FREE_WINDOW_MS: String(WINDOW_MS) };
  stack = await startStack({ env: { ...env, PROVIDERS_FILE: file } });
  cookie = await login(stack.origin.gateway);
});
afterAll(async () => {
  await stack.stop();
  rmSync(dir, { recursive: true, force: true });
});

it('waiting messages use the slots that urgent ones leave, before the fixed window ends', async () => {
  const { gateway } = stack.origin;
  const postUrgent = () => postMessage(gateway, cookie);
  // A burst makes the estimate of urgent traffic high enough to hold patient messages back at first.
  const burst = await Promise.all(Array.from({ length: 30 }, postUrgent));
  const windowBeganMs = Date.now();
  expect(burst.every(({ body }) => body.provider === 'free')).toBe(true);
  const deliverBy = new Date(Date.now() + 600_000).toISOString();
  const accepted = await Promise.all(
    Array.from({ length: 20 }, () =>
      postMessage(gateway, cookie, { message: 'patient', deliverBy }, { prefer: 'respond-async' }),
    ),
  );
  let records: MessageRecord[] = [];
  const areDelivered = async (): Promise<boolean> => {
    await postUrgent();
    records = await Promise.all(
      accepted.map(async ({ body }) => (await recordOf(gateway, cookie, body.id ?? '')).body),
    );
    return records.every(({ status }) => status === 'delivered');
  };
  await waitUntil(areDelivered, { what: 'patient messages are delivered', everyMs: URGENT_EVERY_MS });
  const lastMs = Math.max(...records.map(({ attempts }) => Date.parse(attempts.at(-1)?.startedAt ?? '')));
  expect(records.every(({ provider }) => provider === 'free')).toBe(true);
  expect(lastMs - windowBeganMs).toBeLessThan(WINDOW_MS);
});
