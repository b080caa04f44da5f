import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { inParallel, statsOf } from '../support/client.js';
import { rawRequest } from '../support/raw-connection.js';
import { type Arena, type Headers, outcomeOf, startArena } from './arena.js';

const LOGIN_ATTEMPTS = 3;

let arena: Arena;
beforeAll(async () => {
  arena = await startArena({
    LOGIN_ATTEMPTS: String(LOGIN_ATTEMPTS),
    REGISTRATIONS_PER_HOUR: '4',
    MESSAGES_PER_SECOND: '1',
  });
});
afterAll(() => arena.stop());

const LOCKED = '429 too_many_attempts';
const logIn = (email: string, headers: Headers = {}) =>
  arena.send('POST', '/auth/login', headers, { email, password: 'wrong password' });
const newEmail = (): string => `${randomUUID()}@example.com`;
const addresses = Array.from({ length: LOGIN_ATTEMPTS + 2 }, (_, index) => `203.0.113.${index + 1}`);

/** Outcomes of one guess for each value. */
async function guesses<Value>(values: Value[], guess: (value: Value) => ReturnType<typeof logIn>): Promise<string[]> {
  const outcomes: string[] = [];
  for (const value of values) outcomes.push(outcomeOf(await guess(value)));
  return outcomes;
}

describe('a limit of guesses', () => {
  it('is not evaded by X-Forwarded-For, Forwarded or X-Real-IP', async () => {
    const email = newEmail();
    const guess = (address: string) =>
      logIn(email, { 'x-forwarded-for': address, forwarded: `for=${address}`, 'x-real-ip': address });
    expect((await guesses(addresses, guess)).slice(LOGIN_ATTEMPTS)).toEqual([LOCKED, LOCKED]);
  });

  it('is not evaded by a Connection header that names X-Forwarded-For', async () => {
    const body = JSON.stringify({ email: newEmail(), password: 'wrong password' });
    const statuses: (number | undefined)[] = [];
    for (const address of addresses) {
      const lines = ['POST /auth/login HTTP/1.1', 'Content-Type: application/json', `Content-Length: ${body.length}`];
      const headers = ['Connection: close, x-forwarded-for', `X-Forwarded-For: ${address}`];
      const { status, socket } = await rawRequest(arena.gateway, [...lines, ...headers], body);
      socket.destroy();
      statuses.push(status);
    }
    expect(statuses.slice(LOGIN_ATTEMPTS)).toEqual([429, 429]);
  });

  it('is not evaded by other spellings of an e-mail address', async () => {
    const email = newEmail();
    const spellings = [email, email.toUpperCase(), email.replace('example', 'Example'), email, email.toUpperCase()];
    expect((await guesses(spellings, logIn)).slice(LOGIN_ATTEMPTS)).toEqual([LOCKED, LOCKED]);
  });

  it('is not evaded by a forged device cookie', async () => {
    const email = newEmail();
    const device = `octo_device=${randomUUID()}.${Math.floor(Date.now() / 1_000)}.${'A'.repeat(43)}`;
    const guess = () => logIn(email, { cookie: device });
    expect((await guesses(addresses, guess)).slice(LOGIN_ATTEMPTS)).toEqual([LOCKED, LOCKED]);
  });

  it('is not evaded by an encoded path', async () => {
    const email = newEmail();
    const paths = ['/auth/login', '/%61uth/login', '/auth/%6cogin', '/auth/login', '/auth/%6Cogin'];
    const guess = (path: string) => arena.send('POST', path, {}, { email, password: 'wrong password' });
    const outcomes = await guesses(paths, guess);
    // A path that leads nowhere is no guess.
    expect(outcomes.filter((outcome) => outcome === '401 invalid_credentials').length).toBeLessThanOrEqual(
      LOGIN_ATTEMPTS,
    );
  });

  it('is not evaded by guesses at the same time', async () => {
    const email = newEmail();
    const answers = await inParallel(20, 20, () => logIn(email));
    const checked = answers.filter(({ status }) => status === 401);
    expect(checked.length).toBeLessThanOrEqual(LOGIN_ATTEMPTS);
    expect(answers.filter(({ status }) => status === 429).length).toBeGreaterThan(0);
  });

  it('counts the guesses of a password by a stolen token, in all sessions of the account together', async () => {
    const body = { currentPassword: 'wrong password', newPassword: 'correct horse battery' };
    const { body: session } = await arena.send(
      'POST',
      '/auth/login',
      {},
      { email: arena.alice.email, password: 'octo-demo-password' },
    );
    expect(session['id']).toBe(arena.alice.id);
    const guess = (path: string) =>
      arena.send(
        'POST',
        path,
        arena.alice.bearer,
        path === '/auth/password' ? body : { currentPassword: 'wrong password' },
      );
    const paths = ['/auth/password', '/auth/totp', '/auth/totp/disable', '/auth/password', '/auth/totp'];
    expect((await guesses(paths, guess)).slice(LOGIN_ATTEMPTS)).toEqual([LOCKED, LOCKED]);
  });

  it('holds for reset tokens, so that they do not fill the security log', async () => {
    const guess = () =>
      arena.send('POST', '/auth/password/reset', {}, { token: randomUUID(), newPassword: 'correct horse battery' });
    const outcomes = await guesses(Array.from({ length: 10 * LOGIN_ATTEMPTS + 2 }), guess);
    expect(new Set(outcomes.slice(0, 10 * LOGIN_ATTEMPTS))).toEqual(new Set(['400 invalid_reset_token']));
    expect(outcomes.slice(10 * LOGIN_ATTEMPTS)).toEqual([LOCKED, LOCKED]);
  });
});

describe('a limit of registrations', () => {
  it('is not evaded by X-Forwarded-For', async () => {
    const register = (address: string) =>
      arena.send(
        'POST',
        '/auth/register',
        { 'x-forwarded-for': address },
        { email: newEmail(), password: 'correct horse battery' },
      );
    // The accounts of the arena are the first two.
    expect(await guesses(addresses, register)).toEqual([
      '201',
      '201',
      ...Array.from({ length: 3 }, () => '429 too_many_requests'),
    ]);
  });
});

describe('a limit of messages', () => {
  const BODY = '{"message":"a"}';

  /** Of 60 requests at once: whether at most one in each second was admitted, and the others were refused and not sent. */
  async function isOneASecond(request: (index: number) => Promise<number | undefined>): Promise<boolean> {
    const before = (await statsOf(arena.stack.origin.free)).accepted;
    const startedMs = performance.now();
    const statuses = await inParallel(60, 20, request);
    const admittedMax = (performance.now() - startedMs) / 1_000 + 2;
    const admitted = statuses.filter((status) => status === 200).length;
    const sent = (await statsOf(arena.stack.origin.free)).accepted - before;
    return admitted <= admittedMax && sent === admitted && statuses.every((status) => status === 200 || status === 429);
  }

  it.each(['/%6dessages', '/messages?a=b', '/messages#a', 'http://octo/messages', '/%6D%65ssages'])(
    'is not evaded by the request target %s',
    async (target) => {
      const isLimited = await isOneASecond(async () => {
        const headers = [`Authorization: Bearer ${arena.alice.token}`, 'Content-Type: application/json'];
        const lines = [`POST ${target} HTTP/1.1`, ...headers, `Content-Length: ${BODY.length}`];
        const { status, socket } = await rawRequest(arena.gateway, lines, BODY);
        socket.destroy();
        return status;
      });
      expect(isLimited).toBe(true);
    },
  );

  it('counts the sessions and API keys of an account together', async () => {
    const isLimited = await isOneASecond(async (index) => {
      const headers = index % 2 === 0 ? arena.mallory.bearer : arena.mallory.key;
      return (await arena.send('POST', '/messages', headers, { message: 'a' })).status;
    });
    expect(isLimited).toBe(true);
  });

  it('is not evaded by X-Forwarded-For or by another idempotency key', async () => {
    const isLimited = await isOneASecond(async (index) => {
      const headers = { 'x-forwarded-for': `203.0.113.${index}`, 'idempotency-key': randomUUID() };
      return (await arena.send('POST', '/messages', { ...arena.admin.bearer, ...headers }, { message: 'a' })).status;
    });
    expect(isLimited).toBe(true);
  });
});
