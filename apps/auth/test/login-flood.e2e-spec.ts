import { once } from 'node:events';
import { request } from 'node:http';
import { setImmediate as tick } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { startStack, type Stack } from '../../../test/support/stack.js';
import { waitUntil } from '../../../tools/stack/wait-until.js';
import { type Answer, Browser, newEmail, PASSWORD } from './browser.js';

const FLOOD = 300;
/** On a machine that is too busy for this: four times what as many health checks take. */
const QUICK_MS = 300;

let stack: Stack;
beforeAll(async () => {
  stack = await startStack({ apps: ['auth', 'gateway'], env: { LOGIN_ATTEMPTS: '1000' } });
});
afterAll(() => stack.stop());

describe.each(['auth', 'gateway'] as const)('a flood of logins at %s', (app) => {
  it('gets 503 with Retry-After beyond 2 s of hashing, while sessions go on', async () => {
    const origin = stack.origin[app];
    const sessions = await Promise.all(
      Array.from({ length: 5 }, async () => {
        const browser = new Browser(origin);
        expect((await browser.login('free@octo.local')).status).toBe(200);
        return browser;
      }),
    );
    const healthMs = await durationOfFlood(origin, '/health/live');
    const startedAtMs = performance.now();
    const flood = await floodOf(origin, '/auth/login');
    const slowestMs = await slowestSession(sessions);
    const answers = await flood.answers;
    const floodMs = performance.now() - startedAtMs;

    const refused = answers.filter(({ status }) => status === 503);
    expect(answers.filter(({ status }) => status !== 401 && status !== 503)).toEqual([]);
    expect(refused.length).toBeGreaterThan(FLOOD / 3);
    expect(Math.min(...refused.map(({ retryAfter }) => retryAfter))).toBeGreaterThanOrEqual(1);
    expect(floodMs).toBeLessThan(8_000);
    expect(slowestMs).toBeLessThan(Math.max(QUICK_MS, 4 * healthMs));
  });
});

interface FloodAnswer {
  status: number;
  /** Seconds; 0 without the header. */
  retryAfter: number;
}

/** In a thread of its own: 300 requests in this one would delay what the test measures. */
const FLOOD_THREAD = `
  const { request } = require('node:http');
  const { parentPort, workerData: { url, method, count } } = require('node:worker_threads');
  const call = (index) => new Promise((resolve, reject) => {
    const body = JSON.stringify({ email: index + '@flood.example.com', password: 'wrong password' });
    const headers = {
      'content-type': 'application/json',
      ...(method === 'POST' && { 'content-length': body.length }),
      'x-forwarded-for': '10.99.' + (index >> 8) + '.' + (index & 255),
    };
    request(url, { method, headers, agent: false }, (response) => {
      response.resume().once('end', () =>
        resolve({ status: response.statusCode, retryAfter: Number(response.headers['retry-after'] ?? 0) }));
    }).once('error', reject).end(method === 'POST' ? body : undefined);
  });
  const answers = Array.from({ length: count }, (_, index) => call(index));
  parentPort.postMessage('sent');
  Promise.all(answers).then((all) => parentPort.postMessage(all));
`;

/** Resolves once the requests are on their way. */
async function floodOf(origin: string, path: string): Promise<{ answers: Promise<FloodAnswer[]> }> {
  const method = path === '/auth/login' ? 'POST' : 'GET';
  const thread = new Worker(FLOOD_THREAD, { eval: true, workerData: { url: origin + path, method, count: FLOOD } });
  await once(thread, 'message');
  return { answers: once(thread, 'message').then(([answers]) => answers as FloodAnswer[]) };
}

async function durationOfFlood(origin: string, path: string): Promise<number> {
  const startedAtMs = performance.now();
  await (
    await floodOf(origin, path)
  ).answers;
  return performance.now() - startedAtMs;
}

/** Milliseconds of the slowest call of these sessions; each asks who it is, refreshes and logs out. */
async function slowestSession(sessions: Browser[]): Promise<number> {
  let slowestMs = 0;
  const timed = async (call: () => Promise<Answer>, status: number): Promise<void> => {
    const startedAtMs = performance.now();
    expect((await call()).status).toBe(status);
    slowestMs = Math.max(slowestMs, performance.now() - startedAtMs);
  };
  for (const browser of sessions) {
    await timed(() => browser.get('/auth/me'), 200);
    await timed(() => browser.post('/auth/refresh'), 200);
    await timed(() => browser.post('/auth/logout'), 204);
  }
  return slowestMs;
}

describe('logins whose clients disconnect', () => {
  it('are dropped before their hashes, so that the next login waits for none of them', async () => {
    const browser = new Browser(stack.origin.auth);
    const email = newEmail();
    await browser.post('/auth/register', { email, password: PASSWORD });
    const single = await durationOf(() => browser.login(email));
    const abandoned = Array.from({ length: 40 }, () => startLogin(stack.origin.auth));
    await Promise.all(abandoned.map(({ sent }) => sent));
    for (const { abort } of abandoned) abort();
    await tick();
    // Without the drop it would wait for about 40 hashes.
    expect(await durationOf(() => browser.login(email))).toBeLessThan(Math.max(15 * single, 1_000));
  });
});

async function durationOf(login: () => Promise<Answer>): Promise<number> {
  const startedAtMs = performance.now();
  // 503 while the server has not noticed yet that the clients have gone.
  await waitUntil(async () => (await login()).status === 200, { what: 'the login succeeds' });
  return performance.now() - startedAtMs;
}

/** A login whose answer is not awaited. */
function startLogin(origin: string): { sent: Promise<void>; abort: () => void } {
  const body = JSON.stringify({ email: newEmail(), password: 'wrong password' });
  const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
  const outgoing = request(`${origin}/auth/login`, { method: 'POST', headers, agent: false });
  outgoing.on('error', () => {});
  outgoing.end(body);
  const sent = waitUntil(() => outgoing.writableFinished, { what: 'the login is sent' });
  return { sent, abort: () => outgoing.destroy() };
}
