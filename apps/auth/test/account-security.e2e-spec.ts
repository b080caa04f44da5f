import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { sql } from 'drizzle-orm';
import { Secret, TOTP } from 'otpauth';
import {
  createdApiKeySchema,
  type Login,
  loginSchema,
  resetTokenSchema,
  type SecurityEvent,
  securityLogSchema,
  sessionListSchema,
  type Session,
  totpSetupSchema,
} from '#contracts';
import { type Database, openDatabase } from '#database';
import { startPostgres } from '../../../verification/engines/suite-postgres.js';
import { startStack, type Stack } from '../../../test/support/stack.js';
import { type Answer, Browser, newEmail, PASSWORD, problemOf, refusalOf } from './browser.js';

const NEW_PASSWORD = 'another horse and battery';
const BREACHED = '1qaz2wsx3edc';

let stack: Stack;
let postgres: Awaited<ReturnType<typeof startPostgres>>;
let db: Database;
beforeAll(async () => {
  postgres = await startPostgres();
  db = openDatabase(postgres.url, { connections: 1 });
  const env = { LOGIN_ATTEMPTS: '5', SESSION_MAX_DAYS: '60', DATABASE_URL: postgres.url };
  stack = await startStack({ apps: ['auth'], env });
});
afterAll(async () => {
  await stack.stop();
  await db.$client.end();
  await postgres.stop();
});

const newBrowser = (): Browser => new Browser(stack.origin.auth);

interface User {
  browser: Browser;
  email: string;
  id: string;
}

async function loggedIn(): Promise<User> {
  const browser = newBrowser();
  const email = newEmail();
  expect((await browser.post('/auth/register', { email, password: PASSWORD })).status).toBe(201);
  return { browser, email, id: (await login(browser, email)).id };
}

async function login(browser: Browser, email: string, password = PASSWORD): Promise<Login> {
  return loginSchema.parse((await browser.login(email, password)).body);
}

async function admin(): Promise<Browser> {
  const browser = newBrowser();
  expect((await browser.login('admin@octo.local')).status).toBe(200);
  return browser;
}

const isLoggedIn = async (browser: Browser): Promise<boolean> => (await browser.get('/auth/me')).status === 200;

describe('POST /auth/password', () => {
  it('changes the password, and ends the other sessions at once', async () => {
    const { browser, email } = await loggedIn();
    const elsewhere = newBrowser();
    await elsewhere.login(email);
    const change = { currentPassword: PASSWORD, newPassword: NEW_PASSWORD };
    expect((await browser.post('/auth/password', change)).status).toBe(204);
    expect([await isLoggedIn(browser), await isLoggedIn(elsewhere)]).toEqual([true, false]);
    expect((await browser.post('/auth/refresh')).status).toBe(200);
    expect(refusalOf(await elsewhere.post('/auth/refresh'))).toBe('401 unauthenticated');
    expect(refusalOf(await newBrowser().login(email))).toBe('401 invalid_credentials');
    expect((await newBrowser().login(email, NEW_PASSWORD)).status).toBe(200);
  });

  it('limits guesses of the current password, so that a stolen token is not enough', async () => {
    const { browser, email } = await loggedIn();
    const guess = () => browser.post('/auth/password', { currentPassword: 'a guess', newPassword: NEW_PASSWORD });
    const guesses = await Promise.all(Array.from({ length: 8 }, guess));
    const refusals = guesses.map(refusalOf);
    expect(refusals.filter((refusal) => refusal === '401 invalid_credentials')).toHaveLength(5);
    expect(refusals.filter((refusal) => refusal === '429 too_many_attempts')).toHaveLength(3);
    expect((await newBrowser().login(email)).status).toBe(200);
  });

  it('refuses a password that is short or known from breaches, and a caller that is not logged in', async () => {
    const { browser } = await loggedIn();
    for (const newPassword of ['short', BREACHED, BREACHED.toUpperCase()]) {
      const answer = await browser.post('/auth/password', { currentPassword: PASSWORD, newPassword });
      expect(refusalOf(answer)).toBe('400 invalid_request');
      expect(problemOf(answer).errors?.map(({ pointer }) => pointer)).toEqual(['/newPassword']);
    }
    const change = { currentPassword: PASSWORD, newPassword: NEW_PASSWORD };
    expect(refusalOf(await newBrowser().post('/auth/password', change))).toBe('401 unauthenticated');
  });
});

describe('POST /auth/register', () => {
  it('refuses a password that is known from breaches', async () => {
    const answer = await newBrowser().post('/auth/register', { email: newEmail(), password: BREACHED });
    expect(refusalOf(answer)).toBe('400 invalid_request');
    expect(problemOf(answer).errors).toEqual([
      { pointer: '/password', detail: 'is known from breaches: choose another password' },
    ]);
  });
});

describe('a password reset', () => {
  async function resetTokenOf(id: string): Promise<string> {
    const answer = await (await admin()).post(`/auth/users/${id}/reset-token`);
    expect(answer.status).toBe(201);
    return resetTokenSchema.parse(answer.body).token;
  }
  const reset = (token: string, newPassword = NEW_PASSWORD): Promise<Answer> =>
    newBrowser().post('/auth/password/reset', { token, newPassword });

  it('sets a new password once and ends all sessions', async () => {
    const { browser, email, id } = await loggedIn();
    const token = await resetTokenOf(id);
    expect(refusalOf(await reset(token, BREACHED))).toBe('400 invalid_request');
    expect((await reset(token)).status).toBe(204);
    expect(await isLoggedIn(browser)).toBe(false);
    expect(refusalOf(await reset(token))).toBe('400 invalid_reset_token');
    expect((await newBrowser().login(email, NEW_PASSWORD)).status).toBe(200);
  });

  it('is done by one of concurrent requests with the same token', async () => {
    const { id } = await loggedIn();
    const token = await resetTokenOf(id);
    const answers = await Promise.all(Array.from({ length: 5 }, () => reset(token)));
    expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([204, 400, 400, 400, 400]);
  });

  it('refuses a token that is expired, replaced or wrong', async () => {
    const { id } = await loggedIn();
    const replaced = await resetTokenOf(id);
    const expired = await resetTokenOf(id);
    await db.execute(sql`update password_resets set expires_at = now() where account_id = ${id}`);
    for (const token of [replaced, expired, 'A'.repeat(43)])
      expect(refusalOf(await reset(token))).toBe('400 invalid_reset_token');
  });

  it('stores no token', async () => {
    const { id } = await loggedIn();
    const token = await resetTokenOf(id);
    const { rows } = await db.execute(sql`select * from password_resets`);
    expect(JSON.stringify(rows)).toContain(id);
    expect(JSON.stringify(rows)).not.toContain(token);
    expect(JSON.stringify(stack.log)).not.toContain(token);
  });

  it('does not enable a disabled account', async () => {
    const { email, id } = await loggedIn();
    const token = await resetTokenOf(id);
    await (await admin()).patch(`/auth/users/${id}`, { disabled: true });
    expect((await reset(token)).status).toBe(204);
    expect(refusalOf(await newBrowser().login(email, NEW_PASSWORD))).toBe('401 invalid_credentials');
  });

  it('is started by admins only, for accounts that exist', async () => {
    const { browser, id } = await loggedIn();
    expect(refusalOf(await browser.post(`/auth/users/${id}/reset-token`))).toBe('403 forbidden');
    const unknown = '11111111-1111-4111-8111-111111111111';
    for (const other of [unknown, 'not-a-uuid'])
      expect(refusalOf(await (await admin()).post(`/auth/users/${other}/reset-token`))).toBe('404 not_found');
  });
});

describe('/auth/sessions', () => {
  async function sessionsOf(browser: Browser): Promise<Session[]> {
    return sessionListSchema.parse((await browser.get('/auth/sessions')).body).items;
  }

  it('lists the live sessions of the account, with their user agents, and marks the current one', async () => {
    const { browser, email } = await loggedIn();
    const elsewhere = newBrowser();
    await elsewhere.login(email);
    const gone = newBrowser();
    await gone.login(email);
    await gone.post('/auth/logout');
    const sessions = await sessionsOf(browser);
    expect(sessions.filter(({ current }) => current)).toHaveLength(1);
    expect(sessions.map(({ userAgent }) => userAgent)).toEqual(['node', 'node']);
    expect(JSON.stringify(sessions)).not.toContain('accessId');
  });

  it('ends one session at once, and no session of another account', async () => {
    const { browser, email } = await loggedIn();
    const elsewhere = newBrowser();
    await elsewhere.login(email);
    const other = (await sessionsOf(browser)).find(({ current }) => !current);
    const stranger = (await loggedIn()).browser;
    const call = (by: Browser, id = other?.id) => by.delete(`/auth/sessions/${id}`);
    expect(refusalOf(await call(stranger))).toBe('404 not_found');
    expect(refusalOf(await call(browser, 'not-a-uuid'))).toBe('404 not_found');
    expect(await isLoggedIn(elsewhere)).toBe(true);
    expect((await call(browser)).status).toBe(204);
    expect([await isLoggedIn(browser), await isLoggedIn(elsewhere)]).toEqual([true, false]);
    expect(refusalOf(await elsewhere.post('/auth/refresh'))).toBe('401 unauthenticated');
    expect(refusalOf(await call(browser))).toBe('404 not_found');
  });

  it('end SESSION_MAX_DAYS after the login, however often they are refreshed', async () => {
    const { browser, id } = await loggedIn();
    const age = (days: number) =>
      db.execute(sql`update sessions set created_at = now() - ${days} * interval '1 day' where account_id = ${id}`);
    await age(59);
    expect((await browser.post('/auth/refresh')).status).toBe(200);
    const [session] = await sessionsOf(browser);
    expect(new Date(session?.expiresAt ?? 0).getTime()).toBeLessThan(Date.now() + 86_500_000);
    await age(60);
    expect(refusalOf(await browser.post('/auth/refresh'))).toBe('401 unauthenticated');
  });
});

describe('an API key', () => {
  it('cannot change the password, set up one-time codes, or see and end sessions', async () => {
    const { browser } = await loggedIn();
    const { key } = createdApiKeySchema.parse((await browser.post('/auth/keys', { name: 'test' })).body);
    const bearer = { authorization: `Bearer ${key}` };
    const [current] = sessionListSchema.parse((await browser.get('/auth/sessions')).body).items;
    const confirmed = { currentPassword: PASSWORD };
    const answers = [
      await browser.post('/auth/password', { ...confirmed, newPassword: NEW_PASSWORD }, bearer),
      await browser.post('/auth/totp', confirmed, bearer),
      await browser.post('/auth/totp/confirm', { code: '123456' }, bearer),
      await browser.post('/auth/totp/disable', confirmed, bearer),
      await browser.get('/auth/sessions', bearer),
      await browser.delete(`/auth/sessions/${current?.id}`, bearer),
    ];
    expect(answers.map(refusalOf)).toEqual(answers.map(() => '403 forbidden'));
  });
});

describe('changes by an admin', () => {
  it('need a login within 15 minutes, or the password of the admin', async () => {
    const { id } = await loggedIn();
    const browser = await admin();
    const { items } = sessionListSchema.parse((await browser.get('/auth/sessions')).body);
    const current = items.find((session) => session.current);
    await db.execute(sql`update sessions set created_at = now() - interval '16 minutes' where id = ${current?.id}`);
    const patch = (body: object) => browser.patch(`/auth/users/${id}`, body);
    expect(refusalOf(await patch({ paidAccess: true }))).toBe('403 reauthentication_required');
    expect(refusalOf(await browser.post(`/auth/users/${id}/reset-token`))).toBe('403 reauthentication_required');
    expect(refusalOf(await patch({ paidAccess: true, currentPassword: 'wrong' }))).toBe('401 invalid_credentials');
    expect((await patch({ paidAccess: true, currentPassword: PASSWORD })).body).toMatchObject({ paidAccess: true });
    const token = await browser.post(`/auth/users/${id}/reset-token`, { currentPassword: PASSWORD });
    expect(token.status).toBe(201);
    expect((await browser.get('/auth/users')).status).toBe(200);
    expect(refusalOf(await patch({ currentPassword: PASSWORD }))).toBe('400 invalid_request');
  });
});

describe('GET /auth/security-log', () => {
  async function eventsOf(accountId: string): Promise<SecurityEvent[]> {
    const answer = await (await admin()).get(`/auth/security-log?limit=100&accountId=${accountId}`);
    return securityLogSchema.parse(answer.body).items;
  }

  it('has who did what to an account, from where, with which result, newest first', async () => {
    const { browser, email, id } = await loggedIn();
    const adminBrowser = await admin();
    const adminId = loginSchema.parse((await adminBrowser.get('/auth/me')).body).id;
    await adminBrowser.patch(`/auth/users/${id}`, { paidAccess: true, role: 'admin' });
    await browser.post('/auth/refresh');
    await browser.post('/auth/password', { currentPassword: 'wrong', newPassword: NEW_PASSWORD });
    await browser.post('/auth/password', { currentPassword: PASSWORD, newPassword: NEW_PASSWORD });
    const { id: keyId } = createdApiKeySchema.parse((await browser.post('/auth/keys', { name: 'test' })).body);
    await browser.delete(`/auth/keys/${keyId}`);
    await browser.post('/auth/logout');
    await adminBrowser.post(`/auth/users/${id}/reset-token`);
    await adminBrowser.patch(`/auth/users/${id}`, { disabled: true });
    const events = await eventsOf(id);
    expect(events.map(({ event, result, actorId }) => [event, result, actorId])).toEqual([
      ['account_disabled', 'ok', adminId],
      ['reset_token_created', 'ok', adminId],
      ['logout', 'ok', id],
      ['key_revoked', 'ok', id],
      ['key_created', 'ok', id],
      ['password_changed', 'ok', id],
      ['reauthentication', 'refused', id],
      ['paid_access_changed', 'ok', adminId],
      ['role_changed', 'ok', adminId],
      ['login', 'ok', null],
      ['account_created', 'ok', null],
    ]);
    for (const { address, requestId } of events) {
      expect(address).toMatch(/^10\./);
      expect(requestId).toMatch(/^[\w-]{36}$/);
    }
    expect(JSON.stringify(events)).not.toContain(email);
  });

  it('has failed logins and one lockout for each limit, with the hash of the e-mail address only', async () => {
    const { browser, email } = await loggedIn();
    const attacker = newBrowser();
    for (let index = 0; index < 8; index += 1) await attacker.login(email, 'a guess');
    await browser.login(email);
    const { items } = securityLogSchema.parse((await (await admin()).get('/auth/security-log?limit=100')).body);
    const emailHash = items.find(({ event, result }) => event === 'login_locked' && result === 'refused')?.emailHash;
    const own = items.filter((item) => item.emailHash === emailHash);
    expect(own.filter(({ event }) => event === 'login_locked')).toHaveLength(1);
    expect(own.filter(({ event, result }) => event === 'login' && result === 'refused')).toHaveLength(5);
    expect(own.filter(({ event, result }) => event === 'login' && result === 'ok')).toHaveLength(2);
    const { rows } = await db.execute(sql`select * from security_events`);
    for (const text of [JSON.stringify(rows, (_, value) => (typeof value === 'bigint' ? String(value) : value))])
      expect(text).not.toContain(email);
    const lines = stack.log.filter(({ event }) => event === 'login_locked');
    expect(lines.length).toBeGreaterThan(0);
  });

  it('has pages, for admins only', async () => {
    const adminBrowser = await admin();
    const first = securityLogSchema.parse((await adminBrowser.get('/auth/security-log?limit=2')).body);
    const path = `/auth/security-log?limit=2&cursor=${first.nextCursor}`;
    const second = securityLogSchema.parse((await adminBrowser.get(path)).body);
    const ids = [...first.items, ...second.items].map(({ id }) => Number(id));
    expect(ids).toEqual(ids.toSorted((a, b) => b - a));
    expect(new Set(ids).size).toBe(4);
    expect(refusalOf(await adminBrowser.get('/auth/security-log?cursor=x'))).toBe('400 invalid_request');
    expect(refusalOf(await (await loggedIn()).browser.get('/auth/security-log'))).toBe('403 forbidden');
  });
});

describe('one-time codes', () => {
  const totpOf = (secret: string) => new TOTP({ secret: Secret.fromBase32(secret) });
  /** A code of this step or of the next one: both are valid now, each once, also if a step begins meanwhile. */
  const codeOf = (secret: string, steps: 0 | 1): string =>
    totpOf(secret).generate({ timestamp: Date.now() + steps * 30_000 });
  const loginWith = (email: string, totp?: string): Promise<Answer> =>
    newBrowser().post('/auth/login', { email, password: PASSWORD, ...(totp && { totp }) });

  async function withTotp(): Promise<User & { secret: string }> {
    const user = await loggedIn();
    const setup = await user.browser.post('/auth/totp', { currentPassword: PASSWORD });
    expect(setup.status).toBe(201);
    const { secret, uri } = totpSetupSchema.parse(setup.body);
    expect(uri).toContain(encodeURIComponent(user.email));
    expect((await loginWith(user.email)).status).toBe(200);
    expect((await user.browser.post('/auth/totp/confirm', { code: codeOf(secret, 0) })).status).toBe(204);
    return { ...user, secret };
  }

  it('are needed at a login once they are confirmed, and work once', async () => {
    const { email, secret } = await withTotp();
    expect(refusalOf(await loginWith(email))).toBe('401 totp_required');
    expect(refusalOf(await loginWith(email, codeOf(secret, 0)))).toBe('401 invalid_credentials');
    const code = codeOf(secret, 1);
    const answers = await Promise.all(Array.from({ length: 3 }, () => loginWith(email, code)));
    expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, 401, 401]);
  });

  it('reveal nothing to a caller without the password', async () => {
    const { email, secret } = await withTotp();
    const wrong = await newBrowser().post('/auth/login', { email, password: 'a guess', totp: codeOf(secret, 1) });
    expect(refusalOf(wrong)).toBe('401 invalid_credentials');
    expect(refusalOf(await newBrowser().login(email, 'a guess'))).toBe('401 invalid_credentials');
    expect((await loginWith(email, codeOf(secret, 1))).status).toBe(200);
  });

  it('cannot be guessed: wrong codes count as failed logins, and a missing code clears none of them', async () => {
    const { email } = await withTotp();
    const attacker = newBrowser();
    const guess = (totp?: string) => attacker.post('/auth/login', { email, password: PASSWORD, ...(totp && { totp }) });
    const refusals: string[] = [];
    for (let index = 0; index < 7; index += 1) {
      refusals.push(refusalOf(await guess(String(index).padStart(6, '0'))));
      await guess();
    }
    expect(refusals.filter((refusal) => refusal === '401 invalid_credentials')).toHaveLength(5);
    expect(refusals.at(-1)).toBe('429 too_many_attempts');
  });

  it('are set up and disabled with the password only, and are not replaced while they are in use', async () => {
    const { browser, email, secret } = await withTotp();
    const wrong = { currentPassword: 'a guess' };
    expect(refusalOf(await browser.post('/auth/totp/disable', wrong))).toBe('401 invalid_credentials');
    expect(refusalOf(await browser.post('/auth/totp', { currentPassword: PASSWORD }))).toBe('403 forbidden');
    expect(refusalOf(await browser.post('/auth/totp/confirm', { code: codeOf(secret, 1) }))).toBe(
      '400 invalid_request',
    );
    expect((await browser.post('/auth/totp/disable', { currentPassword: PASSWORD })).status).toBe(204);
    expect((await loginWith(email)).status).toBe(200);
  });

  it('refuse a wrong code at the confirmation, and stay off', async () => {
    const { browser, email } = await loggedIn();
    await browser.post('/auth/totp', { currentPassword: PASSWORD });
    expect(refusalOf(await browser.post('/auth/totp/confirm', { code: '000000' }))).toBe('400 invalid_request');
    expect(refusalOf(await browser.post('/auth/totp/confirm', { code: 'abcdef' }))).toBe('400 invalid_request');
    expect((await loginWith(email)).status).toBe(200);
  });
});
