// `npm run demo [-- ORIGIN]`: sends messages until free quota is used up, then waits until it reopens. Without an origin
// it starts its own stack with a small quota, and stops it at the end.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { DeliveredMessage, QuotaReport } from '#contracts';
import { DEMO_ACCOUNT, logIn } from './stack/log-in.js';
import { type Stack, startStack } from './stack/stack.js';

const FREE_LIMIT = 4;
const FREE_BLOCK_MS = 4_000;

const [origin] = process.argv.slice(2);
if (origin === undefined) await runOnOwnStack();
else await runDemo(origin);

async function runOnOwnStack(): Promise<void> {
  console.log('starting two gateways, two providers and the engines …');
  const dir = mkdtempSync(join(tmpdir(), 'octo-demo-'));
  const stack = await startStack({
    env: {
      ...process.env,
      REDIS_URL: undefined,
      DATABASE_URL: undefined,
      FREE_LIMIT: String(FREE_LIMIT),
      FREE_BLOCK_MS: String(FREE_BLOCK_MS),
      FREE_POLICY: 'count-then-block',
      FREE_STARTS_AT: 'last-accept',
      JWT_PRIVATE_KEY_FILE: join(dir, 'jwt-key.pem'),
    },
    pods: 2,
    ports: { gateway: 0, auth: 0, 'free-provider': 0, 'paid-provider': 0 },
    onLine: () => {},
  });
  const stop = stopOnce(stack, dir);
  process.once('SIGINT', () => void stop().then(() => process.exit(130)));
  process.once('SIGTERM', () => void stop().then(() => process.exit(143)));
  try {
    await runDemo(...stack.origins.gateways);
  } finally {
    await stop();
  }
}

function stopOnce(stack: Stack, dir: string): () => Promise<void> {
  let stopped: Promise<void> | undefined;
  return () => {
    stopped ??= stack.stop().then(() => rmSync(dir, { recursive: true, force: true }));
    return stopped;
  };
}

/** Sends to the gateways in turn: they share one quota. */
async function runDemo(...gateways: string[]): Promise<void> {
  const [first = ''] = gateways;
  const cookie = await logIn(first);
  console.log(`logged in as ${DEMO_ACCOUNT.email}, who may use the paid provider\n`);
  const free = (await quotaOf(first, cookie)).providers.find(({ priceMicros }) => priceMicros === 0);
  console.log(`the free provider accepts ${free?.limit} messages, then refuses for a while; ${free?.used} are used\n`);
  console.log('  message  gateway  provider   cost       time');
  let spentMicros = 0;
  let refusals = 0;
  const send = async (number: number): Promise<DeliveredMessage> => {
    const index = (number - 1) % gateways.length;
    const startedMs = performance.now();
    const message = await post(gateways[index] ?? first, cookie, `message ${number}`);
    const tookMs = (performance.now() - startedMs).toFixed(1);
    const cost = `${(message.costMicros / 1e6).toFixed(4)} ${message.currency}`;
    console.log(
      `  ${String(number).padEnd(8)} ${String(index + 1).padEnd(8)} ${message.provider.padEnd(10)} ${cost}  ${tookMs} ms`,
    );
    spentMicros += message.costMicros;
    refusals += message.attempts.filter(({ outcome }) => outcome === 'refused').length;
    return message;
  };
  let number = 1;
  // One free window, then three paid messages.
  for (let paid = 0; paid < 3; number += 1) if ((await send(number)).costMicros > 0) paid += 1;
  await waitForReopening(first, cookie);
  for (let sent = 0; sent < 2; sent += 1, number += 1) await send(number);
  console.log(`\n${number - 1} messages for ${(spentMicros / 1e6).toFixed(4)} USD, ${refusals} refusals.`);
}

async function waitForReopening(gateway: string, cookie: string): Promise<void> {
  const free = (await quotaOf(gateway, cookie)).providers.find(({ priceMicros }) => priceMicros === 0);
  const waitMs = Math.max(0, Date.parse(free?.reopensAt ?? '') - Date.now() || 0);
  console.log(
    `\n  free is blocked and reopens at ${free?.reopensAt ?? 'once'}: waiting ${(waitMs / 1000).toFixed(1)} s\n`,
  );
  await delay(waitMs);
}

async function post(gateway: string, cookie: string, message: string): Promise<DeliveredMessage> {
  const response = await request(`${gateway}/messages`, { cookie, body: JSON.stringify({ message }) });
  return (await response.json()) as DeliveredMessage;
}

async function quotaOf(gateway: string, cookie: string): Promise<QuotaReport> {
  const response = await fetch(`${gateway}/quota`, { headers: { cookie } });
  return (await response.json()) as QuotaReport;
}

async function request(url: string, { cookie = '', body }: { cookie?: string; body: string }): Promise<Response> {
  const headers = { 'content-type': 'application/json', cookie };
  const response = await fetch(url, { method: 'POST', headers, body });
  if (!response.ok) throw new Error(`${url} answered ${response.status}: ${await response.text()}`);
  return response;
}
