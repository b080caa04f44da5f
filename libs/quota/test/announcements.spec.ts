import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { readLimits } from '../src/announcements/announced-limits.js';
import { type AnnouncementReader, announcementReader } from '../src/announcements/announcement.js';
import { openQuotaRedis, Quota, type QuotaInput } from '../src/index.js';
import { AccountQuotas } from '../src/pod/account-quotas.js';
import { type LimitedPolicy, limitOf } from '../src/policy.js';
import { SettlementBatch } from '../src/store/settlement-batch.js';
import { repair, replace } from './pod-mutants.js';

const runs = Number(process.env['MODEL_RUNS'] ?? 40);
const seed = Number(process.env['MODEL_SEED'] ?? 1);
const DAY_S = 86_400;
const TOKENS_OF_A_MESSAGE = 20;

const window = (limit: number, seconds: number): LimitedPolicy => ({
  policy: 'sliding-window',
  limit,
  windowMs: seconds * 1_000,
});
const QUOTAS = [
  { name: 'minute', policy: window(50, 60) },
  {
    name: 'day',
    policy: { policy: 'fixed-window', limit: 500, windowMs: DAY_S * 1_000, anchor: 'clock', clockSkewMs: 50 },
  },
  { name: 'tokens', unit: 'tokens', policy: window(5_000, 60) },
] as const satisfies QuotaInput[];

type Headers = Record<string, string>;
/** What an answer announces: the truth about the minute, or a limit that is none of the quotas. */
type Announced = 'minute' | Headers;

const limitNumbers = fc.constantFrom(50, 500, 5_000, 7);
const remainings = fc.integer({ min: 0, max: 40 });

/** Of no quota, as its window differs. */
const ofOtherWindow = fc
  .tuple(limitNumbers, remainings, fc.constantFrom(1, 10, 3_600, 7 * DAY_S))
  .map(([limit, remaining, seconds]) => draft({ limit, remaining, seconds }));
/** Of no quota, as its unit differs, or its window among those of its unit. */
const ofOtherUnit = fc
  .tuple(
    limitNumbers,
    remainings,
    fc.constantFrom<[string, number]>(['images', 60], ['images', DAY_S], ['tokens', DAY_S]),
  )
  .map(([limit, remaining, [unit, seconds]]) => draft({ limit, remaining, seconds, unit }));
const ofOtherFamily = fc
  .tuple(limitNumbers, remainings, fc.constantFrom('second', 'hour'))
  .map(([limit, remaining, family]) => ({
    [`x-ratelimit-limit-${family}`]: String(limit),
    [`x-ratelimit-remaining-${family}`]: String(remaining),
    [`x-ratelimit-reset-${family}`]: '1',
  }));
const ofOtherNumber = remainings.map((remaining) => ({
  'x-ratelimit-limit': '77',
  'x-ratelimit-remaining': String(remaining),
}));

function draft({
  limit,
  remaining,
  seconds,
  unit,
}: {
  limit: number;
  remaining: number;
  seconds: number;
  unit?: string;
}) {
  return {
    ratelimit: `"other";r=${remaining};t=1`,
    'ratelimit-policy': `"other";q=${limit};w=${seconds}${unit === undefined ? '' : `;qu="${unit}"`}`,
  };
}

const plans = fc.array(
  fc.oneof(fc.constant('minute' as const), ofOtherWindow, ofOtherUnit, ofOtherFamily, ofOtherNumber),
  {
    minLength: 1,
    maxLength: 12,
  },
);

const redis = openQuotaRedis(process.env['TEST_REDIS_URL'] ?? '');
// Each plan has pods of its own.
redis.setMaxListeners(0);
beforeAll(async () => {
  if (redis.status !== 'ready') await once(redis, 'ready');
});
afterEach(repair);
afterAll(() => redis.disconnect());

/** Sends messages until a limit with nothing left holds the account back; the counts are those of the messages. */
async function isCountKept(plan: readonly Announced[], read: AnnouncementReader): Promise<boolean> {
  const account = `account-${randomBytes(6).toString('hex')}`;
  const newPod = (): Quota =>
    new Quota({
      redis,
      providers: [{ name: account, timeoutMs: 1_000, quotas: QUOTAS }],
      whenForgotten: 'fresh',
      budgetMs: 5_000,
    });
  const pod = newPod();
  let sent = 0;
  for (const announced of plan) {
    const reservation = await pod.reserve(account, { tokens: TOKENS_OF_A_MESSAGE });
    if (!reservation.granted) break;
    sent += 1;
    const headers = announced === 'minute' ? truthAfter(sent) : announced;
    pod.settle(reservation.permit, { outcome: 'accepted', announced: read(headers) });
  }
  await pod.close();
  const states = (await newPod().states(account)) ?? [];
  const expected = QUOTAS.map(({ name, policy }) => ({
    name,
    limit: limitOf(policy),
    used: name === 'tokens' ? sent * TOKENS_OF_A_MESSAGE : sent,
  }));
  return JSON.stringify(states.map(({ name, limit, used }) => ({ name, limit, used }))) === JSON.stringify(expected);
}

function truthAfter(sent: number): Headers {
  return { ratelimit: `"minute";r=${50 - sent};t=1`, 'ratelimit-policy': '"minute";q=50;w=60' };
}

const INTACT = announcementReader(QUOTAS);
const check = (read: AnnouncementReader) =>
  fc.check(
    fc.asyncProperty(plans, (plan) => isCountKept(plan, read)),
    { numRuns: runs, seed },
  );

/** A reader that does not see this part of the headers. */
const blindTo =
  (part: RegExp): AnnouncementReader =>
  (headers) =>
    INTACT(
      Object.fromEntries(
        Object.entries(headers).map(([name, value]) => [blind(name, part), blind(String(value), part)]),
      ),
    );

function blind(text: string, part: RegExp): string {
  return text.replace(part, '');
}

describe('invariant 16, announcements of another window or unit', () => {
  it('change no count and no limit', async () => {
    const { failed, counterexample } = await check(INTACT);
    expect({ failed, counterexample }).toMatchObject({ failed: false });
  });

  it.each<[string, AnnouncementReader]>([
    ['does not see windows', blindTo(/;w=\d+|-(second|hour)$/)],
    ['does not see units', blindTo(/;qu="\w+"/)],
    [
      'takes a limit that is no quota for the first one',
      (headers) => ({ ...INTACT(headers), remaining: readLimits(headers, NaN)[0]?.remaining ?? 0 }),
    ],
  ])('fail for a reader that %s', async (_what, read) => {
    expect((await check(read)).failed).toBe(true);
  });

  it('fail for a pod that tells every quota what is announced of the first', async () => {
    replace(AccountQuotas, 'settle', (_, intact, permit, settlement) => {
      const announced = 'announced' in settlement ? settlement.announced : undefined;
      intact(permit, settlement.outcome === 'accepted' ? { ...settlement, announced: toAll(announced) } : settlement);
    });
    expect((await check(INTACT)).failed).toBe(true);
  });

  it('fail for a pod that reports a held account as used up', async () => {
    replace(SettlementBatch, 'add', (_, intact, settled) => {
      const { settlement } = settled;
      const holdMs = settlement.outcome === 'accepted' ? settlement.announced?.holdMs : undefined;
      intact(
        holdMs === undefined
          ? settled
          : { ...settled, settlement: { outcome: 'accepted', announced: { holdMs, remaining: 0 } } },
      );
    });
    expect((await check(INTACT)).failed).toBe(true);
  });
});

function toAll(announced: ReturnType<AnnouncementReader>): ReturnType<AnnouncementReader> {
  return announced && { ...announced, others: [announced, announced] };
}
