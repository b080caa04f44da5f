import { describe, expect, it } from '@jest/globals';
import type { LimitedPolicy } from '../policy.js';
import { type AnnouncedQuota, announcementReader } from './announcement.js';

const DATE = 'Fri, 20 Nov 2026 12:00:00 GMT';
const DATE_S = Date.parse(DATE) / 1_000;
const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;

const window = (limit: number, windowMs: number): LimitedPolicy => ({ policy: 'sliding-window', limit, windowMs });
const minute: AnnouncedQuota = { policy: window(10, MINUTE_MS) };
const day: AnnouncedQuota = { name: 'day', policy: window(1_000, DAY_MS) };
const tokens: AnnouncedQuota = { policy: window(5_000, MINUTE_MS), unit: 'tokens' };
const block: AnnouncedQuota = {
  policy: { policy: 'count-then-block', limit: 10, blockMs: 30_000, startsAt: 'last-accept' },
};

const read = announcementReader([minute]);

describe('an announcement', () => {
  it('is undefined when the headers say nothing of a quota', () => {
    expect(read({})).toBeUndefined();
    expect(read({ date: DATE, 'content-type': 'application/json' })).toBeUndefined();
  });

  it.each([
    ['seconds', { 'retry-after': '3' }, 3_000],
    ['decimal seconds, rounded up', { 'retry-after': '59.5' }, 60_000],
    ['a whole decimal', { 'retry-after': '2.0' }, 2_000],
    ['a duration with units', { 'retry-after': '1m20s' }, 80_000],
    ['a date, on the clock of the provider', { 'retry-after': 'Fri, 20 Nov 2026 12:00:03 GMT', date: DATE }, 3_000],
    ['RFC 3339', { 'retry-after': '2026-11-20T12:00:03Z', date: DATE }, 3_000],
    ['seconds since 1970', { 'retry-after': String(DATE_S + 9), date: DATE }, 9_000],
    ['milliseconds by their own header', { 'retry-after-ms': '9000', 'retry-after': '10' }, 9_000],
  ])('has Retry-After as %s', (_what, headers, retryAfterMs) => {
    expect(read(headers)).toEqual({ retryAfterMs });
  });

  it.each([['soon'], ['-5'], ['Thu, 19 Nov 2026 12:00:00 GMT'], ['year 3600'], ['1e9'], ['']])(
    'ignores the Retry-After %j',
    (value) => {
      expect(read({ 'retry-after': value, date: DATE })).toBeUndefined();
    },
  );

  it('bounds Retry-After by 1.5 periods, unless a reset in the same answer confirms it', () => {
    expect(read({ 'retry-after': '3600.5' })).toEqual({ retryAfterMs: 89_000 });
    const second = announcementReader([{ policy: window(1, 1_000) }]);
    expect(second({ 'retry-after': '30' })).toEqual({ retryAfterMs: 30_000 });
    const confirmed = { 'retry-after': '3600', 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '3600' };
    expect(read(confirmed)).toMatchObject({ retryAfterMs: 3_600_000 });
    expect(announcementReader([day])({ 'retry-after': '9999999' })).toEqual({ retryAfterMs: 1.5 * DAY_MS - 1_000 });
    expect(announcementReader([])({ 'retry-after': '9999999' })).toEqual({ retryAfterMs: 7 * DAY_MS - 1_000 });
  });
});

describe('a limit of an answer', () => {
  const ours = { remaining: 4, resetMs: 30_000, limit: 10 };

  it.each([
    ['the draft, by its window', { ratelimit: '"b";r=4;t=30', 'ratelimit-policy': '"b";q=10;w=60' }],
    ['the draft in several lines', { ratelimit: ['"a";r=9;t=1', '"b";r=4;t=30'], 'ratelimit-policy': '"b";q=10;w=60' }],
    ['the early draft', { ratelimit: 'limit=10, remaining=4, reset=30' }],
    ['separate fields', { 'ratelimit-limit': '10', 'ratelimit-remaining': '4', 'ratelimit-reset': '30' }],
    ['X-RateLimit', { 'x-ratelimit-limit': '10', 'x-ratelimit-remaining': '4', 'x-ratelimit-reset': '30' }],
    ['X-Rate-Limit', { 'x-rate-limit-limit': '10', 'x-rate-limit-remaining': '4', 'x-rate-limit-reset': '30' }],
    ['Reset-After', { 'x-ratelimit-limit': '10', 'x-ratelimit-remaining': '4', 'x-ratelimit-reset-after': '30.0' }],
    [
      'the family of a minute',
      {
        'x-ratelimit-limit-minute': '10',
        'x-ratelimit-remaining-minute': '4',
        'x-ratelimit-reset-minute': '30s',
        'x-ratelimit-limit-day': '1000',
        'x-ratelimit-remaining-day': '0',
      },
    ],
    [
      'the family of requests',
      {
        'x-ratelimit-limit-requests': '10',
        'x-ratelimit-remaining-requests': '4',
        'x-ratelimit-reset-requests': '30s',
        'x-ratelimit-remaining-tokens': '0',
      },
    ],
    ['lists', { 'x-ratelimit-limit': '5, 10', 'x-ratelimit-remaining': '3, 4', 'x-ratelimit-reset': '1, 30' }],
    ['seconds since 1970', reset(String(DATE_S + 30))],
    ['milliseconds since 1970', reset(String((DATE_S + 30) * 1_000))],
    ['RFC 3339', reset('2026-11-20T12:00:30Z')],
    ['an HTTP date', reset('Fri, 20 Nov 2026 12:00:30 GMT')],
    ['units', reset('0m30s')],
    ['milliseconds with their unit', reset('30000ms')],
  ])('is read as %s', (_what, headers) => {
    expect(read(headers)).toMatchObject(ours);
  });

  function reset(value: string): Record<string, string> {
    return { 'x-ratelimit-limit': '10', 'x-ratelimit-remaining': '4', 'x-ratelimit-reset': value, date: DATE };
  }

  it.each([
    ['of another number', { 'x-ratelimit-limit': '3', 'x-ratelimit-remaining': '2', 'x-ratelimit-reset': '1' }],
    ['of another window', { ratelimit: '"b";r=2;t=1', 'ratelimit-policy': '"b";q=10;w=1' }],
    ['of another unit', { ratelimit: '"b";r=2', 'ratelimit-policy': '"b";q=10;w=60;qu="tokens"' }],
    ['of tokens', { 'x-ratelimit-limit-tokens': '10', 'x-ratelimit-remaining-tokens': '2' }],
    ['without a number, a name or a window', { 'x-ratelimit-remaining': '7', 'x-ratelimit-reset': '12' }],
    ['that is truncated', { ratelimit: '"free";r=' }],
    ['with less than nothing left', { ratelimit: '"free";r=-1', 'ratelimit-policy': '"free";q=10;w=60' }],
    ['with a fraction left', { ratelimit: '"free";r=1.5', 'ratelimit-policy': '"free";q=10;w=60' }],
    ['that is no number', { 'x-ratelimit-limit': '10', 'x-ratelimit-remaining': 'many' }],
  ])('%s changes no count', (_what, headers) => {
    expect(read(headers)?.remaining).toBeUndefined();
  });

  it('without a quota holds the account back while it has nothing left, for 60 s at most', () => {
    const empty = (seconds: string) => ({
      'x-ratelimit-limit': '3',
      'x-ratelimit-remaining': '0',
      'x-ratelimit-reset': seconds,
    });
    expect(read(empty('1'))).toEqual({ holdMs: 1_000, emptyForMs: 1_000 });
    expect(read(empty('900'))).toEqual({ holdMs: 60_000, emptyForMs: 900_000 });
  });

  it('of a block is matched by its number, whatever window is announced', () => {
    const headers = { ratelimit: '"free";r=4', 'ratelimit-policy': '"free";q=10;w=7' };
    expect(announcementReader([block])(headers)).toMatchObject({ remaining: 4 });
  });
});

describe('several limits', () => {
  const readAll = announcementReader([minute, day, tokens]);

  it('are matched by name, window, unit and number', () => {
    const headers = {
      ratelimit: '"m";r=4, "day";r=900, "t";r=4999',
      'ratelimit-policy': '"m";q=8;w=60, "day";q=7;w=5, "t";q=1;w=60;qu="tokens"',
    };
    expect(readAll(headers)).toMatchObject({
      remaining: 4,
      limit: 8,
      others: [{ remaining: 900 }, { remaining: 4_999 }],
    });
  });

  it('leave a quota out that the answer does not describe', () => {
    const headers = { 'x-ratelimit-limit': '1000', 'x-ratelimit-remaining': '7' };
    expect(readAll(headers)).toEqual({ others: [{ limit: 1_000, remaining: 7 }] });
  });

  it('are taken from the headers that the configuration names', () => {
    const headers = { limit: 'X-Max', remaining: 'X-Left', reset: 'X-Again' };
    const readMapped = announcementReader([minute, { ...day, headers }]);
    const answer = { 'x-max': '1000', 'x-left': '7', 'x-again': '2h' };
    expect(readMapped(answer)).toEqual({ others: [{ limit: 1_000, remaining: 7, resetMs: 7_200_000 }] });
  });
});
