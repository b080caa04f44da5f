import type { ServerResponse } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { inParallel, login, type MessageAnswer, postMessage } from '../../../test/support/client.js';
import type { Stack } from '../../../test/support/stack.js';
import { paced, passed } from './paced.js';
import { quotaOf } from './quota-of.js';
import { startWithProviders } from './start-with-providers.js';
import { deliver, startStubProvider, type StubProvider } from './stub-provider.js';

/** Limits that users of rate-limited providers reported: what real quotas and headers must lead to. */
let stack: Stack;
let gateway: string;
let cookie: string;
const stubs: Record<string, StubProvider> = {};

const DAY_MS = 86_400_000;

type Respond = (response: ServerResponse, times: number) => unknown;
const requestsTo = (name: string): StubProvider['requests'] => stubs[name]?.requests ?? [];

const block = (limit: number, blockMs: number) => ({ policy: 'count-then-block', limit, blockMs });
const delivered =
  (headers: (times: number) => Record<string, string>): Respond =>
  (response, times) => {
    for (const [name, value] of Object.entries(headers(times))) response.setHeader(name, value);
    deliver(response);
  };
const refused = (response: ServerResponse, headers: Record<string, string> = {}): unknown =>
  response.writeHead(429, headers).end();
const refusedOnce =
  (headers: Record<string, string>): Respond =>
  (response, times) =>
    times === 1 ? refused(response, headers) : deliver(response);

/** Refuses whatever exceeds these limits, without a wait. Counts requests by their arrival. */
function limitedTo(
  limits: readonly { limit: number; windowMs: number }[],
  { atOnce = Infinity, tookMs = 0 } = {},
): Respond {
  const acceptedMs: number[] = [];
  let inFlight = 0;
  return (response) => {
    const nowMs = performance.now();
    const isFull = limits.some(
      ({ limit, windowMs }) => acceptedMs.filter((atMs) => nowMs - atMs < windowMs).length >= limit,
    );
    if (isFull || inFlight >= atOnce) return refused(response);
    acceptedMs.push(nowMs);
    inFlight += 1;
    return setTimeout(() => {
      inFlight -= 1;
      deliver(response);
    }, tookMs);
  };
}

let isRefusing = true;
/** Set by the first request. */
let resetAtMs = Infinity;

/** Free providers by name: their fields in the providers file, and what they answer the n-th time. */
const FREE: Record<string, [fields: object, respond: Respond]> = {
  'headers-of-a-second': [
    { quota: block(100, DAY_MS) },
    delivered((times) => ({
      'ratelimit-limit': '3',
      'ratelimit-remaining': String(2 - (times % 2)),
      'ratelimit-reset': '1',
    })),
  ],
  'two-policies': [
    { quota: block(1_000, DAY_MS) },
    delivered((times) => ({
      ratelimit: `"burst";r=0;t=1, "daily";r=${1_000 - times};t=80000`,
      'ratelimit-policy': '"burst";q=1;w=1, "daily";q=1000;w=86400',
    })),
  ],
  'told-until': [
    { quota: block(10, 2_000) },
    (response, times) => {
      if (times === 1) resetAtMs = Math.ceil(Date.now() / 1_000) * 1_000 + 15_000;
      if (Date.now() >= resetAtMs) return deliver(response);
      const headers = { 'x-ratelimit-limit': '10', 'x-ratelimit-remaining': '0' };
      return refused(response, { ...headers, 'x-ratelimit-reset': String(resetAtMs) });
    },
  ],
  'decimal-3600.5': [{ quota: block(10, 30_000) }, refusedOnce({ 'retry-after': '3600.5' })],
  'decimal-59.5': [{ quota: block(10, 60_000) }, refusedOnce({ 'retry-after': '59.5' })],
  'decimal-2.0': [{ quota: block(10, 30_000) }, refusedOnce({ 'retry-after': '2.0' })],
  'two-at-once': [{ quota: block(100, 3_600_000) }, limitedTo([], { atOnce: 2, tookMs: 200 })],
  'two-at-once-known': [{ quota: block(100, 3_600_000), maxConcurrent: 2 }, limitedTo([], { atOnce: 2, tookMs: 200 })],
  'two-limits': [
    {
      quotas: [
        { name: 'burst', policy: 'sliding-window', limit: 5, windowMs: 3_000 },
        { name: 'minute', policy: 'sliding-window', limit: 12, windowMs: 60_000 },
      ],
    },
    limitedTo([
      { limit: 5, windowMs: 3_000 },
      { limit: 12, windowMs: 60_000 },
    ]),
  ],
  calendar: [
    { quotas: [{ policy: 'fixed-window', limit: 3, every: 'month', timeZone: 'America/Los_Angeles' }] },
    (response) => deliver(response),
  ],
  'bare-refusals': [{ quota: block(10, 2_000) }, (response) => (isRefusing ? refused(response) : deliver(response))],
  'wait-in-ms': [
    { quota: block(10, 30_000) },
    refusedOnce({
      'retry-after-ms': '9000',
      'x-ratelimit-remaining-requests': '0',
      'x-ratelimit-reset-requests': '9s',
    }),
  ],
};

beforeAll(async () => {
  for (const [name, [, respond]] of Object.entries(FREE)) {
    stubs[name] = await startStubProvider(0, (response) => respond(response, requestsTo(name).length));
  }
  for (const name of ['paid', 'one', 'other']) stubs[name] = await startStubProvider();
  const provider = (name: string, fields: object) => ({
    name,
    url: `${stubs[name]?.origin}/send`,
    timeoutMs: 60_000,
    ...fields,
  });
  const names = Object.keys(FREE);
  const named = (name: string): string => name.replaceAll('.', '-');
  const free = Object.entries(FREE).map(([name, [fields]]) =>
    Object.assign(provider(name, { priceMicros: 0, ...fields }), { name: named(name) }),
  );
  const shared = { priceMicros: 0, account: 'shared', quota: { policy: 'sliding-window', limit: 10, windowMs: 3_000 } };
  const channels = Object.fromEntries(names.map((name) => [named(name), { providers: [named(name), 'paid'] }]));
  const file = {
    currency: 'USD',
    channels: { ...channels, shared: { providers: ['one', 'other', 'paid'] }, warm: { providers: ['paid'] } },
    providers: [...free, provider('one', shared), provider('other', shared), provider('paid', { priceMicros: 2_500 })],
  };
  // Long: a busy machine must not look like a slow Redis. JSON is YAML.
  stack = await startWithProviders(JSON.stringify(file), { pods: 2, env: { QUOTA_BUDGET_MS: '5000' } });
  gateway = stack.origin.gateway;
  cookie = await login(gateway);
  // The first messages of a process take longer.
  await inParallel(50, 5, () => postMessage(gateway, cookie, { message: 'hello', channel: 'warm' }));
});
afterAll(async () => {
  await stack.stop();
  await Promise.all(Object.values(stubs).map((stub) => stub.stop()));
});

const send = (channel: string): Promise<MessageAnswer> => postMessage(gateway, cookie, { message: 'hello', channel });
const times = (channel: string, count: number): Promise<MessageAnswer[]> =>
  inParallel(count, count, () => send(channel));
const freeOf = (answers: readonly MessageAnswer[]): number =>
  answers.filter(({ body }) => body.provider !== undefined && body.provider !== 'paid').length;
const refusalsOf = (answers: readonly MessageAnswer[]): number =>
  answers.flatMap(({ body }) => body.attempts ?? []).filter(({ outcome }) => outcome === 'refused').length;
const reopensInMs = async (provider: string): Promise<number> =>
  Date.parse((await quotaOf(gateway, cookie, provider)).reopensAt ?? '') - Date.now();

describe('a quota', () => {
  it.concurrent('of a day is not lowered by headers about the limit of a second', async () => {
    const answers = await paced({ count: 10, everyMs: 300 }, () => send('headers-of-a-second'));
    expect(freeOf(answers)).toBe(10);
    expect(await quotaOf(gateway, cookie, 'headers-of-a-second')).toMatchObject({ limit: 100, remaining: 90 });
  });

  it.concurrent('follows the policy that is as long as its own, of two in one answer', async () => {
    // The policy that matches no quota holds the account back for 1 s, and 1 s more because times are rounded.
    const answers = await paced({ count: 5, everyMs: 4_000 }, () => send('two-policies'));
    expect(freeOf(answers)).toBe(5);
    expect(await quotaOf(gateway, cookie, 'two-policies')).toMatchObject({ limit: 1_000, used: 5 });
  });

  it.concurrent('that is used up until a reset sends nothing before it, and says when it reopens', async () => {
    const first = await times('told-until', 20);
    expect(freeOf(first)).toBe(0);
    const requests = requestsTo('told-until').length;
    expect(requests).toBeLessThanOrEqual(10);
    const reopensAtMs = Date.now() + (await reopensInMs('told-until'));
    expect(Math.abs(reopensAtMs - resetAtMs)).toBeLessThan(2_500);
    await times('told-until', 20);
    expect(requestsTo('told-until')).toHaveLength(requests);
  });

  it.concurrent.each([
    ['decimal-3600-5', 45_000],
    ['decimal-59-5', 60_000],
    ['decimal-2-0', 3_000],
  ])('reads Retry-After in decimals, rounded up and bounded: %s', async (name, atMostMs) => {
    await send(name);
    const waitMs = await reopensInMs(name);
    expect(waitMs).toBeGreaterThan(0);
    expect(waitMs).toBeLessThanOrEqual(atMostMs + 100);
  });

  it.concurrent('is not thrown away when a limit of messages at once refuses some', async () => {
    await times('two-at-once', 10);
    const refusedMs = performance.now();
    await passed(refusedMs + 1_500);
    const later = await paced({ count: 3, everyMs: 1_000 }, () => send('two-at-once'));
    expect(freeOf(later)).toBe(3);
  });

  it.concurrent(
    'with maxConcurrent is never refused by a provider that allows two at once, over two pods',
    async () => {
      const answers = await times('two-at-once-known', 30);
      expect(refusalsOf(answers)).toBe(0);
      expect(freeOf(answers)).toBeGreaterThanOrEqual(2);
    },
  );

  it.concurrent('of two windows is used to its last message in both, without a refusal', async () => {
    const answers = await paced({ count: 40, everyMs: 500 }, () => times('two-limits', 2));
    expect(refusalsOf(answers.flat())).toBe(0);
    expect(freeOf(answers.flat())).toBe(12);
    const { quotas } = await quotaOf(gateway, cookie, 'two-limits');
    expect(quotas.map(({ name, used }) => [name, used])).toEqual([
      ['burst', 0],
      ['minute', 12],
    ]);
  });

  it.concurrent('of a month in a time zone reopens when its month ends there', async () => {
    expect(freeOf(await times('calendar', 5))).toBe(3);
    const { reopensAt } = await quotaOf(gateway, cookie, 'calendar');
    const local = new Intl.DateTimeFormat('en', { timeZone: 'America/Los_Angeles', day: 'numeric', hour: 'numeric' });
    expect(local.format(new Date(reopensAt ?? ''))).toBe('1, 12 AM');
  });

  it.concurrent('that two providers share is counted once', async () => {
    const answers = await paced({ count: 3, everyMs: 1_000 }, () => times('shared', 30));
    expect(freeOf(answers.flat())).toBeLessThanOrEqual(10);
    expect(requestsTo('one').length + requestsTo('other').length).toBe(freeOf(answers.flat()));
    expect(freeOf(answers.flat())).toBeGreaterThanOrEqual(9);
  });

  it.concurrent('is probed ever more rarely while its provider refuses without a wait', async () => {
    await paced({ count: 10, everyMs: 2_100 }, () => times('bare-refusals', 30));
    expect(requestsTo('bare-refusals').length).toBeLessThan(25);
    const { state, reopensAt } = await quotaOf(gateway, cookie, 'bare-refusals');
    expect(state).toBe('paused');
    isRefusing = false;
    await passed(performance.now() + Date.parse(reopensAt ?? '') - Date.now() + 100);
    expect(freeOf([await send('bare-refusals'), await send('bare-refusals')])).toBe(2);
  });

  it.concurrent('waits as long as Retry-After-Ms says, and goes on', async () => {
    await send('wait-in-ms');
    const refusedMs = performance.now();
    const waiting = await paced({ count: 8, everyMs: 1_000 }, () => send('wait-in-ms'));
    expect(performance.now() - refusedMs).toBeLessThan(9_000);
    expect(freeOf(waiting)).toBe(0);
    await passed(refusedMs + 11_000);
    expect(freeOf([await send('wait-in-ms')])).toBe(1);
  });
});
