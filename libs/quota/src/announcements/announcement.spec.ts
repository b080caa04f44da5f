import { describe, expect, it } from '@jest/globals';
import { readAnnouncement } from './announcement.js';

const DATE = 'Fri, 20 Nov 2026 12:00:00 GMT';
const DATE_S = Date.parse(DATE) / 1_000;

describe('readAnnouncement', () => {
  it('returns undefined when the headers announce nothing', () => {
    expect(readAnnouncement({})).toBeUndefined();
    expect(readAnnouncement({ date: DATE, 'content-type': 'application/json' })).toBeUndefined();
  });

  it.each([
    ['Retry-After in seconds', { 'retry-after': '3' }, { retryAfterMs: 3_000 }],
    [
      'Retry-After as a date, on the clock of the provider',
      { 'retry-after': 'Fri, 20 Nov 2026 12:00:03 GMT', date: DATE },
      { retryAfterMs: 3_000 },
    ],
    ['the fields of the IETF draft', { ratelimit: '"free";r=4;t=30' }, { remaining: 4, resetMs: 30_000 }],
    [
      'a limit and its policy',
      { ratelimit: '"b";r=4;t=30', 'ratelimit-policy': '"a";q=9;w=3600, "b";q=10;w=60' },
      { remaining: 4, resetMs: 30_000, limit: 10, windowMs: 60_000 },
    ],
    [
      'several limits: the tightest',
      { ratelimit: '"day";r=900;t=80000, "minute";r=2;t=9' },
      { remaining: 2, resetMs: 9_000 },
    ],
    ['a header sent as several lines', { ratelimit: ['"a";r=5', '"b";r=1'] }, { remaining: 1 }],
    ['the separate fields', { 'ratelimit-remaining': '7', 'ratelimit-reset': '12' }, { remaining: 7, resetMs: 12_000 }],
    [
      'the separate fields with X-',
      { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '0' },
      { remaining: 0, resetMs: 0 },
    ],
    [
      'a reset in seconds since 1970',
      { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': String(DATE_S + 9), date: DATE },
      { remaining: 0, resetMs: 9_000 },
    ],
    [
      'a reset in milliseconds since 1970',
      { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': String(DATE_S * 1_000 + 9_500), date: DATE },
      { remaining: 0, resetMs: 9_500 },
    ],
  ])('reads %s', (_what, headers, announced) => {
    expect(readAnnouncement(headers)).toEqual(announced);
  });

  it.each([
    ['a Retry-After that is no time', { 'retry-after': 'soon' }],
    ['a negative Retry-After', { 'retry-after': '-5' }],
    ['a Retry-After in the past', { 'retry-after': 'Thu, 19 Nov 2026 12:00:00 GMT', date: DATE }],
    ['an unstructured field', { ratelimit: 'limit=10, remaining=5, reset=3' }],
    ['a truncated structured field', { ratelimit: '"free";r=' }],
    ['a negative remaining', { ratelimit: '"free";r=-1' }],
    ['a fraction of a request', { ratelimit: '"free";r=1.5' }],
    ['a remaining that is no number', { 'x-ratelimit-remaining': 'many' }],
    ['a limit without a remaining', { 'x-ratelimit-limit': '10' }],
    ['a number of 400 digits', { 'x-ratelimit-remaining': '9'.repeat(400) }],
  ])('ignores %s', (_what, headers) => {
    expect(readAnnouncement(headers)).toBeUndefined();
  });

  it.each(['-1', '99999999999999999999', String(DATE_S - 60)])('omits a reset of %s', (reset) => {
    const headers = { 'x-ratelimit-remaining': '3', 'x-ratelimit-reset': reset, date: DATE };
    expect(readAnnouncement(headers)).toEqual({ remaining: 3 });
  });
});
