import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Readiness } from '#service';
import { AttemptLimits, type LoginAttempt } from './attempt-limits.js';

/** No server listens there: the limits count in memory, as they do while Redis is down. */
const NO_REDIS = 'redis://127.0.0.1:1';

describe('AttemptLimits, without Redis', () => {
  let limits: AttemptLimits;
  beforeEach(() => {
    const few = { LOGIN_ATTEMPTS: 3, LOGIN_WINDOW_MS: 60_000, LOGIN_FAILURES_PER_HOUR: 20, REGISTRATIONS_PER_HOUR: 2 };
    limits = new AttemptLimits({ REDIS_URL: NO_REDIS, ...few }, new Readiness());
  });
  afterEach(() => limits.onApplicationShutdown());

  const attempt = (outcome: 'right' | 'wrong' | Error, who: Partial<LoginAttempt> = {}) =>
    limits
      .login({ address: '192.0.2.1', email: 'a@example.com', ...who }, async () => {
        if (outcome instanceof Error) throw outcome;
        return outcome === 'right' ? outcome : undefined;
      })
      .catch((error: unknown) => (error instanceof Error && 'code' in error ? error.code : 'error'));
  /** One after the other. */
  const attempts = async (count: number, ...args: Parameters<typeof attempt>): Promise<unknown[]> => {
    const outcomes: unknown[] = [];
    for (let index = 0; index < count; index += 1) outcomes.push(await attempt(...args)); // oxlint-disable-line no-await-in-loop
    return outcomes;
  };

  it('allows no more guesses than the limit, even concurrent ones', async () => {
    const outcomes = await Promise.all(Array.from({ length: 20 }, () => attempt('wrong')));
    expect(outcomes.filter((outcome) => outcome === undefined)).toHaveLength(3);
    expect(await attempt('right')).toBe('too_many_attempts');
  });

  it('clears earlier failures on a success', async () => {
    expect(await attempts(2, 'wrong')).toEqual([undefined, undefined]);
    expect(await attempt('right')).toBe('right');
    expect(await attempts(4, 'wrong')).toEqual([undefined, undefined, undefined, 'too_many_attempts']);
  });

  it('does not count successes', async () => {
    expect(await attempts(50, 'right')).toEqual(Array.from({ length: 50 }, () => 'right'));
  });

  it('does not count attempts during which the server failed', async () => {
    await attempts(10, new Error('database is down'));
    expect(await attempt('right')).toBe('right');
  });

  it('does not affect other e-mail addresses and network addresses', async () => {
    await attempts(4, 'wrong');
    expect(await attempt('right', { email: 'b@example.com' })).toBe('right');
    expect(await attempt('right', { address: '192.0.2.2' })).toBe('right');
  });

  it('limits a network address that tries many e-mail addresses', async () => {
    const outcomes = await Promise.all(
      Array.from({ length: 40 }, (_, index) => attempt('wrong', { email: `${index}@example.com` })),
    );
    expect(outcomes.filter((outcome) => outcome === undefined)).toHaveLength(30);
  });

  it('limits registrations by network address, with the time to wait', async () => {
    await limits.registration('192.0.2.1');
    await limits.registration('192.0.2.1');
    await expect(limits.registration('192.0.2.1')).rejects.toMatchObject({
      code: 'too_many_requests',
      extra: { retryAfterMs: expect.any(Number) },
    });
    await limits.registration('192.0.2.2');
  });

  it('limits registrations by IPv6 /64', async () => {
    await limits.registration('2001:db8::1');
    await limits.registration('2001:db8::2');
    await expect(limits.registration('2001:db8::3')).rejects.toMatchObject({ code: 'too_many_requests' });
    await limits.registration('2001:db8:0:1::1');
  });

  it('counts an IPv6 /64 as one network address', async () => {
    const outcomes = await Promise.all(
      Array.from({ length: 10 }, (_, index) => attempt('wrong', { address: `2001:db8::${index}` })),
    );
    expect(outcomes.filter((outcome) => outcome === undefined)).toHaveLength(3);
    expect(await attempt('right', { address: '2001:db8:0:1::1' })).toBe('right');
  });

  describe('when an e-mail address is guessed from many networks', () => {
    const guess = (index: number) => attempt('wrong', { address: `198.51.100.${index}` });
    const guesses = () => Promise.all(Array.from({ length: 30 }, (_, index) => guess(index)));

    it('answers no more failures than the limit of the e-mail address', async () => {
      const outcomes = await guesses();
      expect(outcomes.filter((outcome) => outcome === undefined)).toHaveLength(20);
      expect(await attempt('right', { address: '203.0.113.1' })).toBe('too_many_attempts');
      expect(await attempt('right', { email: 'b@example.com', address: '203.0.113.1' })).toBe('right');
    });

    it('does not lock out a device that has logged in before', async () => {
      await guesses();
      expect(await attempt('right', { address: '203.0.113.1', deviceId: 'known' })).toBe('right');
      expect(await attempts(4, 'wrong', { deviceId: 'stolen' })).toEqual([
        undefined,
        undefined,
        undefined,
        'too_many_attempts',
      ]);
    });

    it('keeps the count when the owner logs in', async () => {
      await Promise.all(Array.from({ length: 19 }, (_, index) => guess(index)));
      expect(await attempt('right', { address: '203.0.113.1' })).toBe('right');
      expect(await guess(100)).toBeUndefined();
      expect(await guess(101)).toBe('too_many_attempts');
    });
  });

  it('limits guesses by a caller that is logged in, and no other caller', async () => {
    const wrong = () => limits.reauthentication('one', async () => undefined);
    await Promise.all([wrong(), wrong(), wrong()]);
    await expect(wrong()).rejects.toMatchObject({ code: 'too_many_attempts' });
    expect(await limits.reauthentication('two', async () => 'right')).toBe('right');
  });
});
