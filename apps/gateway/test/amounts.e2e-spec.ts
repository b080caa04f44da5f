import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { inParallel, login, type MessageAnswer, postMessage, recordOf } from '../../../test/support/client.js';
import type { Stack } from '../../../test/support/stack.js';
import { waitUntil } from '../../../tools/stack/wait-until.js';
import { quotaOf } from './quota-of.js';
import { startWithProviders } from './start-with-providers.js';
import { sendJson, startStubProvider, type StubProvider } from './stub-provider.js';

const LIMIT = 1_000;
const WINDOW_MS = 2_000;
const WINDOWS = 6;
const SENDERS = 8;

/** Counts tokens in windows by the clock, and refuses once as many are used as it allows. */
let provider: StubProvider;
let stack: Stack;
let gateway: string;
let cookie: string;
let refusals = 0;
const usedIn = new Map<number, number>();

beforeAll(async () => {
  provider = await startStubProvider(0, (response, { body }) => {
    const window = Math.floor(Date.now() / WINDOW_MS);
    const used = usedIn.get(window) ?? 0;
    if (used >= LIMIT) {
      refusals += 1;
      return response.writeHead(429).end();
    }
    const { message } = JSON.parse(body) as { message: string };
    const tokens = Number(message);
    usedIn.set(window, used + tokens);
    return sendJson(response, { ok: true, response: 'done', usage: { tokens } });
  });
  const yaml = `
currency: USD
providers:
  - name: model
    url: ${provider.origin}
    priceMicros: 0
    quotas:
      - { name: minute, policy: fixed-window, limit: 10000, windowMs: 60000, anchor: clock }
      - name: tokens
        policy: fixed-window
        limit: ${LIMIT}
        windowMs: ${WINDOW_MS}
        anchor: clock
        unit: tokens
        estimate: '$number(message) * ($number(message) % 2 = 0 ? 2 : 0.5)'
        actual: body.usage.tokens
`;
  stack = await startWithProviders(yaml, { pods: 2 });
  gateway = stack.origin.gateway;
  cookie = await login(gateway, 'free@octo.local');
});
afterAll(async () => {
  await stack.stop();
  await provider.stop();
});

const send = (tokens: number, pod = 0): Promise<MessageAnswer> =>
  postMessage(stack.gateways[pod] ?? '', cookie, { message: String(tokens) });

describe('a quota of tokens', () => {
  it('counts what the answers say, and the record of a message has it', async () => {
    const { body } = await send(100);
    const isCounted = async (): Promise<boolean> => {
      const { quotas } = await quotaOf(gateway, cookie, 'model');
      return quotas.find(({ name }) => name === 'tokens')?.unit === 'tokens';
    };
    await waitUntil(isCounted, { what: 'GET /quota names the unit' });
    const record = await recordOf(gateway, cookie, body.id ?? '');
    expect(record.body.hops.find(({ step }) => step === 'answered')?.used).toEqual({ tokens: 100 });
  });

  it('uses at least 95 % of each window although every estimate is wrong by a factor of 2', async () => {
    const first = Math.floor(Date.now() / WINDOW_MS) + 1;
    let seed = 7;
    const next = (): number => (seed = (seed * 48_271) % 2_147_483_647);
    const isOver = (): boolean => Math.floor(Date.now() / WINDOW_MS) > first + WINDOWS;
    await inParallel(SENDERS, SENDERS, async (sender) => {
      while (!isOver()) await send(10 + (next() % 391), sender % 2);
    });
    const used = Array.from({ length: WINDOWS }, (_, index) => usedIn.get(first + index) ?? 0);
    const total = used.reduce((sum, tokens) => sum + Math.min(tokens, LIMIT), 0);
    expect(total / (WINDOWS * LIMIT)).toBeGreaterThanOrEqual(0.95);
    expect(Math.max(...used)).toBeLessThanOrEqual(LIMIT + 400);
    // At most what was in flight when the window turned out to be used up.
    expect(refusals).toBeLessThanOrEqual(WINDOWS * (SENDERS - 1));
  });
});
