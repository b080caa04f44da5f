import { describe, expect, it } from '@jest/globals';
import type { Hop } from '#contracts';
import { addHop, type Message, newMessage } from '../message.js';
import type { Provider } from '../providers/providers-file.js';
import { afterAttempt, afterDeath } from './after-attempt.js';

const provider = (name: string, idempotent: boolean): Provider => ({
  name,
  url: 'http://127.0.0.1',
  priceMicros: 7,
  timeoutMs: 1_000,
  headers: {},
  idempotent,
  quota: undefined,
});
const honouring = provider('honouring', true);
const forgetful = provider('forgetful', false);
const DAY_MS = 86_400_000;

function messageWith(...hops: Omit<Hop, 'at' | 'pod'>[]): Message {
  const message = newMessage({
    message: 'a',
    deliverBy: undefined,
    callbackUrl: undefined,
    accountId: 'account',
    mayPay: true,
    idempotencyKey: undefined,
    fingerprint: undefined,
    requestId: 'request',
    traceparent: '',
  });
  for (const hop of hops) addHop(message, hop);
  return message;
}

const sent = (name: string) => ({ step: 'sending', provider: name }) as const;

describe('after a try', () => {
  it('a delivered message is over, with its price', () => {
    const change = afterAttempt(
      messageWith(),
      { outcome: 'delivered', provider: honouring, response: 'b' },
      Date.now(),
    );
    expect(change).toMatchObject({ status: 'delivered', ending: { provider: 'honouring', costMicros: 7 } });
  });

  it('one that was not delivered waits on, longer each time', () => {
    const waits = [1, 2, 3].map((sends) => {
      const message = messageWith(...Array.from({ length: sends }, () => sent('honouring')));
      return afterAttempt(message, { outcome: 'undelivered', unknownAt: undefined }, Date.now()).nextInMs ?? 0;
    });
    expect(waits).toEqual(waits.toSorted((one, other) => one - other));
    expect(new Set(waits).size).toBe(3);
  });

  it('waits no longer than until it is paid for, and half of the time it has left', () => {
    const nowMs = Date.now();
    const message = messageWith(sent('honouring'), sent('honouring'), sent('honouring'));
    const waitMs = (sendInMs: number, deliverInMs: number): number => {
      message.sendBy = new Date(nowMs + sendInMs);
      message.deliverBy = new Date(nowMs + deliverInMs);
      return afterAttempt(message, { outcome: 'undelivered', unknownAt: undefined }, nowMs).nextInMs ?? 0;
    };
    expect([waitMs(300, 60_000), waitMs(-1, 3_000), waitMs(-1, 100), waitMs(60_000, 60_000)]).toEqual([
      300, 1_500, 500, 4_000,
    ]);
  });

  it('one whose answer was lost is asked for only where it may be', () => {
    const message = messageWith(sent('honouring'));
    expect(afterAttempt(message, { outcome: 'undelivered', unknownAt: honouring }, Date.now()).status).toBe('waiting');
    expect(message.onlyProvider).toBe('honouring');
  });

  it('is never known where keys are not honoured, nor when it has been asked for a day', () => {
    const now = messageWith(sent('forgetful'));
    const old = messageWith(sent('honouring'));
    expect(afterAttempt(now, { outcome: 'undelivered', unknownAt: forgetful }, Date.now()).status).toBe('unknown');
    const tomorrow = Date.now() + DAY_MS;
    expect(afterAttempt(old, { outcome: 'undelivered', unknownAt: honouring }, tomorrow).status).toBe('unknown');
  });

  it('that is only asked for does not grow while there is no permit to ask', () => {
    const message = messageWith(sent('honouring'));
    afterAttempt(message, { outcome: 'undelivered', unknownAt: honouring }, Date.now());
    message.hopsOnDisk = message.hops.length;
    addHop(message, { step: 'no_permit', provider: 'honouring' });
    const change = afterAttempt(message, { outcome: 'undelivered', unknownAt: undefined, waitMs: 700 }, Date.now());
    expect({ change, added: message.hops.length - message.hopsOnDisk }).toEqual({
      change: { status: 'waiting', nextInMs: 700 },
      added: 0,
    });
  });

  it('stays where it may have been delivered when that one refuses or fails the next time', () => {
    const message = messageWith(sent('honouring'));
    afterAttempt(message, { outcome: 'undelivered', unknownAt: honouring }, Date.now());
    afterAttempt(message, { outcome: 'undelivered', unknownAt: undefined }, Date.now());
    expect(message.onlyProvider).toBe('honouring');
  });
});

describe('after the death of its pod', () => {
  const providers = [honouring, forgetful];

  it('a message on its way is asked for there, or never known', () => {
    const asked = messageWith({ step: 'waiting' }, sent('honouring'));
    expect(afterDeath(asked, providers, Date.now()).status).toBe('waiting');
    expect(asked.onlyProvider).toBe('honouring');
    expect(afterDeath(messageWith(sent('forgetful')), providers, Date.now()).status).toBe('unknown');
    expect(afterDeath(messageWith(sent('gone')), providers, Date.now()).status).toBe('unknown');
  });

  it('one that was accepted and not on its way waits on', () => {
    const message = messageWith({ step: 'waiting' }, { step: 'no_permit', provider: 'honouring' });
    expect(afterDeath(message, providers, Date.now())).toEqual({ status: 'waiting' });
    expect(message.onlyProvider).toBeUndefined();
  });

  it('one whose sender saw the call fail is over: nothing was sent', () => {
    expect(afterDeath(messageWith(), providers, Date.now())).toMatchObject({ status: 'failed' });
  });

  it('notes who took it over', () => {
    const message = messageWith({ step: 'waiting' });
    afterDeath(message, providers, Date.now());
    expect(message.hops.map(({ step }) => step)).toContain('taken_over');
  });
});
