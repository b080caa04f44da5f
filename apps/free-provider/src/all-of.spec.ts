import { describe, expect, it } from '@jest/globals';
import { chooseAdmission } from './choose-admission.js';
import { freeProviderSettings } from './free-provider.settings.js';

function newProvider(quotas: object[]) {
  const admission = chooseAdmission(freeProviderSettings.parse({ FREE_QUOTAS: JSON.stringify(quotas) }));
  return { admission, acceptsAt: (nowMs: number): boolean => admission.decide(nowMs).accepted };
}

const SECOND = { name: 'second', policy: 'sliding-window', limit: 2, windowMs: 1_000 };
const MINUTE = { name: 'minute', policy: 'fixed-window', limit: 3, windowMs: 60_000 };
const AT_ONCE = { name: 'at-once', policy: 'concurrency', limit: 1 };

describe('a provider with several quotas', () => {
  it('accepts what all of them accept, and counts nothing for one that another refuses', () => {
    const { admission, acceptsAt } = newProvider([SECOND, MINUTE]);
    expect([0, 1, 2, 3].map(acceptsAt)).toEqual([true, true, false, false]);
    expect([1_002, 1_003, 60_000].map(acceptsAt)).toEqual([true, false, true]);
    expect(admission.stats()).toMatchObject({ accepted: 4, refused: 3 });
  });

  it('names the longest wait', () => {
    const { admission } = newProvider([SECOND, { ...MINUTE, limit: 2 }]);
    admission.decide(0);
    admission.decide(1);
    expect(admission.decide(2)).toEqual({ accepted: false, retryAfterMs: 59_998 });
  });

  it('announces each of them by its name', () => {
    const { admission } = newProvider([SECOND, MINUTE]);
    admission.decide(0);
    expect(admission.headers(0)).toEqual({
      'ratelimit-policy': '"second";q=2;w=1, "minute";q=3;w=60',
      ratelimit: '"second";r=1, "minute";r=2;t=60',
    });
  });

  it('announces only those that it is to announce', () => {
    const { admission } = newProvider([{ ...SECOND, announced: false }, MINUTE]);
    expect(admission.headers(0)['ratelimit']).toBe('"minute";r=3');
  });

  it('accepts requests until the tokens are used up, counts what the last one used beyond them, and announces tokens', () => {
    const { admission } = newProvider([{ ...MINUTE, limit: 100, unit: 'tokens' }]);
    const acceptsAt = (nowMs: number, tokens: number): boolean => admission.decide(nowMs, tokens).accepted;
    expect([acceptsAt(0, 90), acceptsAt(1, 30), acceptsAt(2, 1), acceptsAt(60_000, 1)]).toEqual([
      true,
      true,
      false,
      true,
    ]);
    expect(admission.stats().windows.map(({ accepted }) => accepted)).toEqual([120, 1]);
    expect(admission.headers(60_000)).toEqual({
      'ratelimit-policy': '"minute";q=100;w=60;qu="tokens"',
      ratelimit: '"minute";r=99;t=60',
    });
  });

  it('limits the requests in flight: an answer makes room', () => {
    const { admission, acceptsAt } = newProvider([AT_ONCE, MINUTE]);
    expect([acceptsAt(0), acceptsAt(1)]).toEqual([true, false]);
    admission.release?.();
    expect(acceptsAt(2)).toBe(true);
  });
});

it.each([
  '[]',
  '{}',
  'no JSON',
  '[{"name":"a","policy":"unlimited","limit":1}]',
  '[{"name":"a","policy":"concurrency"}]',
  '[{"name":"a","policy":"fixed-window","limit":1,"unit":"bytes"}]',
  '[{"name":"a","policy":"fixed-window","limit":1,"announced":"yes"}]',
])('FREE_QUOTAS=%s is refused', (FREE_QUOTAS) => {
  expect(freeProviderSettings.safeParse({ FREE_QUOTAS }).success).toBe(false);
});
