import { describe, expect, it } from '@jest/globals';
import type { Attempt } from '#contracts';
import type { Denial } from '../delivery/delivery.service.js';
import { addHop, type Message, newMessage } from '../message.js';
import { cannotBeRecorded, undelivered } from './problems.js';

interface Given {
  attempts?: [provider: string, outcome: Attempt['outcome']][];
  denials?: Denial[];
  mayPay?: boolean;
}

const nowMs = Date.parse('2026-11-20T12:00:00.000Z');
const blocked = (waitMs: number): Denial => ({ granted: false, reason: 'blocked', waitMs });

function messageOf({ attempts = [], mayPay = false }: Given): Message {
  const message: Message = newMessage({
    channel: 'default',
    message: 'a',
    deliverBy: undefined,
    callbackUrl: undefined,
    accountId: 'account',
    mayPay,
    priority: 'normal',
    idempotencyKey: undefined,
    fingerprint: undefined,
    requestId: 'request',
    traceparent: '',
  });
  for (const [provider, outcome] of attempts) {
    addHop(message, { step: 'sending', provider });
    addHop(message, { step: 'answered', provider, outcome });
  }
  return message;
}

const problemOf = (given: Given) => undelivered(messageOf(given), given.denials ?? [], nowMs);

describe('undelivered', () => {
  it('is paid_access_required with the shortest wait when free quota is used up and paying is not allowed', () => {
    const problem = problemOf({ denials: [blocked(9_000), blocked(2_500)] });
    expect(problem.code).toBe('paid_access_required');
    expect(problem.extra).toMatchObject({ retryAfterMs: 2_500, freeReopensAt: '2026-11-20T12:00:02.500Z' });
  });

  it('has no reopening when no provider is free', () => {
    const problem = problemOf({});
    expect(problem.code).toBe('paid_access_required');
    expect(problem.extra.freeReopensAt).toBeUndefined();
  });

  it('is unavailable with the wait when even the quotas of paid providers are used up', () => {
    expect(problemOf({ denials: [blocked(700)], mayPay: true })).toMatchObject({
      code: 'unavailable',
      extra: { retryAfterMs: 700 },
    });
  });

  it('is unavailable when the quota store does not answer', () => {
    expect(problemOf({ denials: [blocked(700), { granted: false, reason: 'unavailable' }] }).code).toBe('unavailable');
  });

  it('is provider_timeout only when no provider answered', () => {
    const timedOut = problemOf({ attempts: [['free', 'unknown'], ['paid', 'unknown']] }); // prettier-ignore
    const failed = problemOf({ attempts: [['free', 'unknown'], ['paid', 'failed']] }); // prettier-ignore
    expect([timedOut.code, failed.code]).toEqual(['provider_timeout', 'provider_failed']);
  });

  it('takes a refusal for a used-up quota', () => {
    expect(problemOf({ attempts: [['free', 'refused']], denials: [blocked(1_000)] }).code).toBe('paid_access_required');
  });

  it('carries the id and the attempts of the message when a provider was tried', () => {
    const { extra } = problemOf({ attempts: [['free', 'failed']] });
    expect(extra).toMatchObject({ id: expect.any(String), attempts: [{ provider: 'free', outcome: 'failed' }] });
    expect(problemOf({ denials: [blocked(1)] }).extra.attempts).toBeUndefined();
  });
});

describe('cannotBeRecorded', () => {
  it('says that nothing was sent only when no provider was tried', () => {
    expect(cannotBeRecorded(messageOf({})).detail).toContain('was not sent.');
    const problem = cannotBeRecorded(messageOf({ attempts: [['free', 'failed']] }));
    expect(problem.detail).toContain('was not sent again');
    expect(problem.extra.attempts).toHaveLength(1);
  });
});
