import { describe, expect, it } from '@jest/globals';
import type { Hop } from '#contracts';
import {
  addHop,
  afterAbandonment,
  afterAttempt,
  attemptsOf,
  type Message,
  newMessage,
  type Recipient,
  wasSent,
} from './message.js';

const recipient = (name: string, isIdempotent: boolean): Recipient => ({
  name,
  account: name,
  key: name,
  priceMicros: 7,
  idempotent: isIdempotent,
});
const idempotent = recipient('idempotent', true);
const plain = recipient('plain', false);
const DAY_MS = 86_400_000;
const UNDELIVERED = { outcome: 'undelivered', silentProvider: undefined } as const;

function messageWith(...hops: Omit<Hop, 'at' | 'pod'>[]): Message {
  const message = newMessage({
    channel: 'default',
    message: 'a',
    deliverBy: undefined,
    callbackUrl: undefined,
    accountId: 'account',
    mayPay: true,
    priority: 'normal',
    idempotencyKey: undefined,
    fingerprint: undefined,
    requestId: 'request',
    traceparent: '',
  });
  for (const hop of hops) addHop(message, hop);
  return message;
}

const sending = (provider: string) => ({ step: 'sending', provider }) as const;
const answered = (outcome: Hop['outcome'], more: Partial<Hop> = {}) =>
  ({ step: 'answered', provider: 'plain', outcome, ...more }) as const;

describe('wasSent', () => {
  it.each([
    ['in flight', [sending('plain')]],
    ['delivered', [sending('plain'), answered('delivered')]],
    ['without an answer', [sending('plain'), answered('unknown')]],
    ['refused by one provider and in flight to the next', [sending('plain'), answered('refused'), sending('next')]],
  ])('is true for a message %s', (_what, hops) => {
    expect(wasSent(messageWith(...hops).hops)).toBe(true);
  });

  it.each([
    ['that no provider was tried for', []],
    ['without a permit', [{ step: 'no_permit', provider: 'plain' } as const]],
    ['that was refused', [sending('plain'), answered('refused')]],
    ['whose connection was refused', [sending('plain'), answered('failed', { sent: false })]],
    [
      'whose permit expired and was not replaced',
      [sending('plain'), { step: 'no_permit', provider: 'plain' } as const],
    ],
    ['taken over before it was sent', [{ step: 'taken_over' } as const, { step: 'failed' } as const]],
  ])('is false for a message %s', (_what, hops) => {
    expect(wasSent(messageWith(...hops).hops)).toBe(false);
  });
});

describe('attemptsOf', () => {
  it('has each send with its answer and the reason of a failure', () => {
    const reason = 'connection refused';
    const { hops } = messageWith(sending('one'), answered('failed', { reason, sent: false }), sending('two'));
    expect(attemptsOf(hops)).toMatchObject([
      { provider: 'one', outcome: 'failed', reason },
      { provider: 'two', outcome: 'unknown', httpStatus: null },
    ]);
  });
});

describe('afterAttempt', () => {
  it('ends a delivered message with its price', () => {
    const change = afterAttempt(
      messageWith(),
      { outcome: 'delivered', provider: idempotent, response: 'b', costMicros: 7 },
      Date.now(),
    );
    expect(change).toMatchObject({ status: 'delivered', ending: { provider: 'idempotent', costMicros: 7 } });
  });

  it('backs off longer with each send', () => {
    const waits = [1, 2, 3].map((sends) => {
      const message = messageWith(...Array.from({ length: sends }, () => sending('idempotent')));
      return afterAttempt(message, UNDELIVERED, Date.now()).nextInMs ?? 0;
    });
    expect(waits).toEqual(waits.toSorted((one, other) => one - other));
    expect(new Set(waits).size).toBe(3);
  });

  it('backs off no longer than until the message is paid for, nor than half of its remaining time', () => {
    const nowMs = Date.now();
    const message = messageWith(sending('idempotent'), sending('idempotent'), sending('idempotent'));
    const waitMs = (sendInMs: number, deliverInMs: number): number => {
      message.sendBy = new Date(nowMs + sendInMs);
      message.deliverBy = new Date(nowMs + deliverInMs);
      return afterAttempt(message, UNDELIVERED, nowMs).nextInMs ?? 0;
    };
    expect([waitMs(300, 60_000), waitMs(-1, 3_000), waitMs(-1, 100), waitMs(60_000, 60_000)]).toEqual([
      300, 1_500, 500, 4_000,
    ]);
  });

  it('resolves a lost answer at the same provider only', () => {
    const message = messageWith(sending('idempotent'));
    const attempt = { outcome: 'undelivered', silentProvider: idempotent } as const;
    expect(afterAttempt(message, attempt, Date.now()).status).toBe('waiting');
    expect(message.onlyProvider).toBe('idempotent');
  });

  it('ends as unknown where keys are not honoured, and after a day of resolving', () => {
    const now = messageWith(sending('plain'));
    const old = messageWith(sending('idempotent'));
    expect(afterAttempt(now, { outcome: 'undelivered', silentProvider: plain }, Date.now()).status).toBe('unknown');
    const tomorrowMs = Date.now() + DAY_MS;
    expect(afterAttempt(old, { outcome: 'undelivered', silentProvider: idempotent }, tomorrowMs).status).toBe(
      'unknown',
    );
  });

  it('adds no hop while a message to be resolved has no permit', () => {
    const message = messageWith(sending('idempotent'));
    afterAttempt(message, { outcome: 'undelivered', silentProvider: idempotent }, Date.now());
    message.hopsOnDisk = message.hops.length;
    addHop(message, { step: 'no_permit', provider: 'idempotent' });
    const change = afterAttempt(message, { ...UNDELIVERED, waitMs: 700 }, Date.now());
    expect({ change, added: message.hops.length - message.hopsOnDisk }).toEqual({
      change: { status: 'waiting', nextInMs: 700 },
      added: 0,
    });
  });

  it('keeps resolving at the same provider when that one refuses or fails the next time', () => {
    const message = messageWith(sending('idempotent'));
    afterAttempt(message, { outcome: 'undelivered', silentProvider: idempotent }, Date.now());
    afterAttempt(message, UNDELIVERED, Date.now());
    expect(message.onlyProvider).toBe('idempotent');
  });
});

describe('afterAbandonment', () => {
  const providers = [idempotent, plain];

  it('resolves a message in flight where keys are honoured, and ends it as unknown elsewhere', () => {
    const inFlight = messageWith({ step: 'waiting' }, sending('idempotent'));
    expect(afterAbandonment(inFlight, providers, Date.now()).status).toBe('waiting');
    expect(inFlight.onlyProvider).toBe('idempotent');
    expect(afterAbandonment(messageWith(sending('plain')), providers, Date.now()).status).toBe('unknown');
    expect(afterAbandonment(messageWith(sending('removed')), providers, Date.now()).status).toBe('unknown');
  });

  it('lets an accepted message that was not in flight wait on', () => {
    const message = messageWith({ step: 'waiting' }, { step: 'no_permit', provider: 'idempotent' });
    expect(afterAbandonment(message, providers, Date.now())).toEqual({ status: 'waiting' });
    expect(message.onlyProvider).toBeUndefined();
  });

  it('ends a message whose caller saw the call fail before anything was sent', () => {
    expect(afterAbandonment(messageWith(), providers, Date.now())).toMatchObject({ status: 'failed' });
  });

  it('adds a hop that another pod took over', () => {
    const message = messageWith({ step: 'waiting' });
    afterAbandonment(message, providers, Date.now());
    expect(message.hops.map(({ step }) => step)).toContain('taken_over');
  });
});
