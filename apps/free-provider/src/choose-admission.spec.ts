import { describe, expect, it } from '@jest/globals';
import { array, assert, integer, property } from 'fast-check';
import { readSettings } from '#service';
import { atMoments, instant } from '../test/at-moments.js';
import { chooseAdmission } from './choose-admission.js';
import { freeProviderSettings } from './free-provider.settings.js';

const SETTINGS = { FREE_LIMIT: '3', FREE_BLOCK_MS: '2000', FREE_WINDOW_MS: '5000', FREE_REFILL_PER_SECOND: '0.4' };
const newProvider = (env: NodeJS.ProcessEnv) =>
  atMoments(chooseAdmission(readSettings(freeProviderSettings, { ...SETTINGS, ...env })));

const POLICIES = [
  { FREE_POLICY: 'count-then-block' },
  { FREE_POLICY: 'count-then-block', FREE_STARTS_AT: 'first-refusal' },
  { FREE_POLICY: 'fixed-window' },
  { FREE_POLICY: 'fixed-window', FREE_ANCHOR: 'clock' },
  { FREE_POLICY: 'sliding-window' },
  { FREE_POLICY: 'token-bucket' },
  { FREE_POLICY: 'unlimited' },
];

describe('chooseAdmission', () => {
  it.each([
    ['count-then-block', '"free";q=3;w=2'],
    ['fixed-window', '"free";q=3;w=5'],
    ['sliding-window', '"free";q=3;w=5'],
    ['token-bucket', '"free";q=3;w=8'],
    ['unlimited', undefined],
  ])('configures %s from the settings', (FREE_POLICY, policy) => {
    expect(newProvider({ FREE_POLICY }).headersAt(0)['ratelimit-policy']).toBe(policy);
    expect(newProvider({ FREE_POLICY, FREE_RATELIMIT_HEADERS: 'false' }).headersAt(0)).toEqual({});
  });

  it('starts the block with the first refusal when FREE_STARTS_AT says so', () => {
    const { acceptsAt } = newProvider({ FREE_STARTS_AT: 'first-refusal' });
    expect([0, 0, 0, 2_000].map(acceptsAt)).toEqual([true, true, true, false]);
  });

  it('starts windows by the clock when FREE_ANCHOR says so', () => {
    const { rateLimitAt } = newProvider({ FREE_POLICY: 'fixed-window', FREE_ANCHOR: 'clock' });
    expect(rateLimitAt(1_000)).toBe('"free";r=3;t=4');
  });
});

describe.each(POLICIES)('a provider with %j', (env) => {
  const arrivals = array(integer({ min: 0, max: 4_000 }), { maxLength: 60 }).map((gapsMs) => {
    let ms = 0;
    return gapsMs.map((gapMs) => (ms += gapMs));
  });

  it('accepts at the moment that a refusal announced, and not before', () => {
    assert(
      property(arrivals, (atMs) => {
        const provider = newProvider(env);
        const refusal = atMs
          .map((ms) => ({ ms, decision: provider.at(ms) }))
          .findLast(({ decision }) => !decision.accepted);
        if (refusal === undefined || refusal.decision.accepted) return;
        const { ms, decision } = refusal;
        const replay = newProvider(env);
        for (const earlierMs of atMs.slice(0, atMs.lastIndexOf(ms) + 1)) replay.at(earlierMs);
        expect(replay.acceptsAt(ms + decision.retryAfterMs - 0.01)).toBe(false);
        expect(replay.acceptsAt(ms + decision.retryAfterMs)).toBe(true);
      }),
    );
  });

  it('logs each request once: an accept in an open window, a refusal in a blocked one', () => {
    assert(
      property(arrivals, (atMs) => {
        const { at, admission } = newProvider(env);
        const decisions = atMs.map((ms) => ({ now: instant(ms), ...at(ms) }));
        const { accepted, refused, windows } = admission.stats();
        expect(accepted).toBe(decisions.filter((decision) => decision.accepted).length);
        expect(accepted + refused).toBe(atMs.length);
        for (const [index, { startedAt, blockedAt, reopensAt, ...window }] of windows.entries()) {
          const nextAt = windows[index + 1]?.startedAt ?? '9';
          const own = decisions.filter(({ now }) => now >= startedAt && now < nextAt);
          expect(window.accepted).toBe(own.filter((decision) => decision.accepted).length);
          expect(window.refused).toBe(own.filter((decision) => !decision.accepted).length);
          for (const { now, accepted: isAccepted } of own) {
            if (isAccepted) expect(blockedAt === null || now <= blockedAt).toBe(true);
            else expect(now >= (blockedAt ?? '9') && now < (reopensAt ?? '')).toBe(true);
          }
        }
      }),
    );
  });

  it('announces 0 remaining exactly when it would refuse', () => {
    assert(
      property(arrivals, (atMs) => {
        const { rateLimitAt, acceptsAt } = newProvider(env);
        for (const ms of atMs) {
          const spent = rateLimitAt(ms)?.startsWith('"free";r=0') ?? false;
          expect(acceptsAt(ms)).toBe(!spent);
        }
      }),
    );
  });
});
