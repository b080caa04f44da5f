import { describe, expect, it } from '@jest/globals';
import type { Attempt } from '#contracts';
import { type Denial, undelivered } from './undelivered.js';

const attempt = (outcome: Attempt['outcome'], provider = 'free'): Attempt => ({
  provider,
  outcome,
  httpStatus: null,
  startedAt: '2026-11-20T12:00:00.000Z',
  durationMs: 1,
});
const blocked = (waitMs: number): Denial => ({ granted: false, reason: 'blocked', waitMs });
const nowMs = Date.parse('2026-11-20T12:00:00.000Z');
const explain = (given: { attempts?: Attempt[]; denials?: Denial[]; mayPay?: boolean }) =>
  undelivered({ attempts: [], denials: [], mayPay: false, nowMs, ...given });

describe('why a message was not delivered', () => {
  it('names the shortest wait when free quota is spent and paying is not allowed', () => {
    const problem = explain({ denials: [blocked(9_000), blocked(2_500)] });
    expect(problem.code).toBe('paid_access_required');
    expect(problem.extra).toMatchObject({ retryAfterMs: 2_500, freeReopensAt: '2026-11-20T12:00:02.500Z' });
  });

  it('names no moment when there is no free provider at all', () => {
    const problem = explain({});
    expect(problem.code).toBe('paid_access_required');
    expect(problem.extra.freeReopensAt).toBeUndefined();
  });

  it('is a wait for somebody who may pay when even paid quotas are spent', () => {
    expect(explain({ denials: [blocked(700)], mayPay: true })).toMatchObject({
      code: 'unavailable',
      extra: { retryAfterMs: 700 },
    });
  });

  it('says that the count is gone, not that the quota is spent, when the store does not answer', () => {
    expect(explain({ denials: [blocked(700), { granted: false, reason: 'unavailable' }] }).code).toBe('unavailable');
  });

  it('is a time-out only when nobody answered', () => {
    expect(explain({ attempts: [attempt('unknown'), attempt('unknown', 'paid')] }).code).toBe('provider_timeout');
    expect(explain({ attempts: [attempt('unknown'), attempt('failed', 'paid')] }).code).toBe('provider_failed');
  });

  it('takes a refusal for a spent quota', () => {
    expect(explain({ attempts: [attempt('refused')], denials: [blocked(1_000)] }).code).toBe('paid_access_required');
  });
});
