import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { sql } from 'drizzle-orm';
import { accountListSchema, accountSchema, type Login, loginSchema, type ManagedAccount } from '#contracts';
import { type Database, openDatabase } from '#database';
import { startPostgres } from '../../../verification/engines/suite-postgres.js';
import { startStack, type Stack } from '../../../test/support/stack.js';
import { Browser, newEmail, PASSWORD, problemOf, refusalOf } from './browser.js';

let stack: Stack;
let postgres: Awaited<ReturnType<typeof startPostgres>>;
let db: Database;
beforeAll(async () => {
  postgres = await startPostgres();
  db = openDatabase(postgres.url, { connections: 1 });
  const env = { LOGIN_ATTEMPTS: '3', REGISTRATIONS_PER_HOUR: '4', DATABASE_URL: postgres.url };
  stack = await startStack({ apps: ['auth'], env });
});
afterAll(async () => {
  await stack.stop();
  await db.$client.end();
  await postgres.stop();
});

const newBrowser = (): Browser => new Browser(stack.origin.auth);

async function registered(): Promise<{ browser: Browser; email: string }> {
  const browser = newBrowser();
  const email = newEmail();
  expect((await browser.post('/auth/register', { email, password: PASSWORD })).status).toBe(201);
  return { browser, email };
}

async function loggedIn(): Promise<{ browser: Browser; email: string; login: Login }> {
  const { browser, email } = await registered();
  return { browser, email, login: loginSchema.parse((await browser.login(email)).body) };
}

async function admin(): Promise<Browser> {
  const browser = newBrowser();
  expect((await browser.login('admin@octo.local')).status).toBe(200);
  return browser;
}

describe('POST /auth/register', () => {
  it('creates an account without paid access', async () => {
    const email = newEmail();
    const answer = await newBrowser().post('/auth/register', { email: email.toUpperCase(), password: PASSWORD });
    expect(answer.status).toBe(201);
    expect(accountSchema.parse(answer.body)).toMatchObject({ email, paidAccess: false, role: 'user' });
    expect(answer.headers.get('cache-control')).toBe('no-store');
  });

  it('names every bad field, and refuses fields that would grant rights', async () => {
    const body = { email: 'no-at-sign', password: 'short', paidAccess: true };
    const answer = await newBrowser().post('/auth/register', body);
    expect(refusalOf(answer)).toBe('400 invalid_request');
    expect(problemOf(answer).errors?.map((error) => error.pointer)).toEqual(['/email', '/password', '/paidAccess']);
  });

  it('refuses an e-mail address that is taken, in any case', async () => {
    const { browser, email } = await registered();
    const again = await browser.post('/auth/register', { email: email.toUpperCase(), password: PASSWORD });
    expect(refusalOf(again)).toBe('409 email_taken');
  });

  it('creates one account for concurrent registrations of one e-mail address', async () => {
    const email = newEmail();
    const answers = await Promise.all(
      Array.from({ length: 6 }, () => newBrowser().post('/auth/register', { email, password: PASSWORD })),
    );
    expect(answers.map((answer) => answer.status).toSorted((a, b) => a - b)).toEqual([201, 409, 409, 409, 409, 409]);
  });

  it('limits the accounts that one network address may create', async () => {
    const browser = newBrowser();
    const register = () => browser.post('/auth/register', { email: newEmail(), password: PASSWORD });
    const answers = await Promise.all(Array.from({ length: 4 }, register));
    expect(answers.map((answer) => answer.status)).toEqual([201, 201, 201, 201]);
    const refused = await register();
    expect(refusalOf(refused)).toBe('429 too_many_requests');
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(3_000);
  });
});

describe('POST /auth/login', () => {
  it('answers the account and sets the cookies', async () => {
    const { browser, email } = await registered();
    const answer = await browser.login(email);
    expect(answer.status).toBe(200);
    expect(loginSchema.parse(answer.body)).toMatchObject({ email, paidAccess: false, role: 'user' });
    const [token, refresh] = answer.headers.getSetCookie();
    expect(token).toMatch(/^octo_token=[\w.-]+; Max-Age=900; Path=\/; HttpOnly; SameSite=Lax$/);
    expect(refresh).toMatch(/^octo_refresh=[\w-]{43}; Max-Age=2592000; Path=\/auth; HttpOnly; SameSite=Strict$/);
  });

  it('answers the same for a wrong password, an unknown e-mail address and a disabled account', async () => {
    const { email } = await registered();
    const disabled = await loggedIn();
    await (await admin()).patch(`/auth/users/${disabled.login.id}`, { disabled: true });
    const answers = await Promise.all([
      newBrowser().login(email, 'wrong password'),
      newBrowser().login(newEmail()),
      newBrowser().login(disabled.email),
    ]);
    for (const answer of answers) expect(refusalOf(answer)).toBe('401 invalid_credentials');
    const details = answers.map((answer) => problemOf(answer).detail);
    expect(new Set(details).size).toBe(1);
  });

  it('answers 400 to malformed credentials', async () => {
    expect(refusalOf(await newBrowser().post('/auth/login', { email: newEmail() }))).toBe('400 invalid_request');
    expect(refusalOf(await newBrowser().post('/auth/login', { email: newEmail(), password: '' }))).toBe(
      '400 invalid_request',
    );
  });

  it('limits the network address that guesses, even with the right password, and no other', async () => {
    const { browser, email } = await registered();
    const guesses = await Promise.all(Array.from({ length: 8 }, () => browser.login(email, 'wrong password')));
    expect(guesses.map((answer) => answer.status).toSorted((a, b) => a - b)).toEqual([
      401, 401, 401, 429, 429, 429, 429, 429,
    ]);
    const refused = await browser.login(email);
    expect(refusalOf(refused)).toBe('429 too_many_attempts');
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(800);
    expect((await newBrowser().login(email)).status).toBe(200);
  });

  it('clears earlier failures on a successful login', async () => {
    const { browser, email } = await registered();
    const failTwice = async () => {
      await browser.login(email, 'wrong password');
      await browser.login(email, 'wrong password');
    };
    await failTwice();
    expect((await browser.login(email)).status).toBe(200);
    await failTwice();
    expect((await browser.login(email)).status).toBe(200);
  });
});

describe('POST /auth/refresh', () => {
  it('rotates both cookies and continues the session', async () => {
    const { browser, login } = await loggedIn();
    const before = new Map(browser.cookies);
    const answer = await browser.post('/auth/refresh');
    expect(answer.status).toBe(200);
    expect(loginSchema.parse(answer.body)).toMatchObject({ id: login.id, email: login.email });
    expect(browser.cookies.get('octo_token')).not.toBe(before.get('octo_token'));
    expect(browser.cookies.get('octo_refresh')).not.toBe(before.get('octo_refresh'));
    expect((await browser.get('/auth/me')).status).toBe(200);
  });

  it.each([
    ['no token', undefined],
    ['an unknown token', 'A'.repeat(43)],
  ])('refuses %s', async (_what, token) => {
    const browser = newBrowser();
    if (token !== undefined) browser.cookies.set('octo_refresh', token);
    expect(refusalOf(await browser.post('/auth/refresh'))).toBe('401 unauthenticated');
  });

  describe('with a refresh token that was rotated before', () => {
    const refreshCookieOf = (browser: Browser): string => browser.cookies.get('octo_refresh') ?? '';

    /** Makes the rotation of a token look as if it had happened that much earlier, by Postgres's clock. */
    async function ageRotation(refreshToken: string, seconds: number): Promise<void> {
      const hash = createHash('sha256').update(refreshToken).digest('base64url');
      const { rowCount } = await db.execute(
        sql`update refresh_tokens set used_at = used_at - ${seconds} * interval '1 s' where hash = ${hash}`,
      );
      expect(rowCount).toBe(1);
    }

    async function expectRevoked(...browsers: Browser[]): Promise<void> {
      const answers = await Promise.all(browsers.map((browser) => browser.get('/auth/me')));
      expect(answers.map(refusalOf)).toEqual(browsers.map(() => '401 unauthenticated'));
      const refreshes = await Promise.all(browsers.map((browser) => browser.post('/auth/refresh')));
      expect(refreshes.map(refusalOf)).toEqual(browsers.map(() => '401 unauthenticated'));
    }

    it('answers a repeat within 10 s with the same refresh cookie, and both tabs continue', async () => {
      const { browser } = await loggedIn();
      const otherTab = browser.copy();
      const rotated = refreshCookieOf(browser);
      expect((await browser.post('/auth/refresh')).status).toBe(200);
      await ageRotation(rotated, 9);
      expect((await otherTab.post('/auth/refresh')).status).toBe(200);
      expect(refreshCookieOf(otherTab)).toBe(refreshCookieOf(browser));
      expect((await browser.get('/auth/me')).status).toBe(200);
      expect((await otherTab.get('/auth/me')).status).toBe(200);
      expect((await browser.post('/auth/refresh')).status).toBe(200);
      expect((await otherTab.post('/auth/refresh')).status).toBe(200);
    });

    it('answers 20 parallel refreshes with one refresh cookie', async () => {
      const { browser } = await loggedIn();
      const tabs = Array.from({ length: 20 }, () => browser.copy());
      const answers = await Promise.all(tabs.map((tab) => tab.post('/auth/refresh')));
      expect(answers.map(({ status }) => status)).toEqual(tabs.map(() => 200));
      expect(new Set(tabs.map(refreshCookieOf)).size).toBe(1);
      const me = await Promise.all(tabs.map((tab) => tab.get('/auth/me')));
      expect(me.map(({ status }) => status)).toEqual(tabs.map(() => 200));
    });

    it('answers a repeat within 10 s with the newest refresh cookie when the successor was rotated too', async () => {
      const { browser } = await loggedIn();
      const otherTab = browser.copy();
      await browser.post('/auth/refresh');
      await browser.post('/auth/refresh');
      expect((await otherTab.post('/auth/refresh')).status).toBe(200);
      expect(refreshCookieOf(otherTab)).toBe(refreshCookieOf(browser));
      expect((await browser.post('/auth/refresh')).status).toBe(200);
    });

    it('revokes the family on a repeat after 10 s', async () => {
      const { browser } = await loggedIn();
      const thief = browser.copy();
      const rotated = refreshCookieOf(browser);
      expect((await browser.post('/auth/refresh')).status).toBe(200);
      await ageRotation(rotated, 11);
      expect(refusalOf(await thief.post('/auth/refresh'))).toBe('401 unauthenticated');
      await expectRevoked(browser);
    });

    it('revokes the family on a repeat after 10 s even when the successor was rotated just now', async () => {
      const { browser } = await loggedIn();
      const thief = browser.copy();
      const rotated = refreshCookieOf(browser);
      await browser.post('/auth/refresh');
      await ageRotation(rotated, 11);
      await browser.post('/auth/refresh');
      expect(refusalOf(await thief.post('/auth/refresh'))).toBe('401 unauthenticated');
      await expectRevoked(browser);
    });

    it('refuses a repeat within 10 s after logout', async () => {
      const { browser } = await loggedIn();
      const otherTab = browser.copy();
      await browser.post('/auth/refresh');
      await browser.post('/auth/logout');
      expect(refusalOf(await otherTab.post('/auth/refresh'))).toBe('401 unauthenticated');
    });

    it('refuses an expired token that was never rotated, and does not revoke its session', async () => {
      const { browser } = await loggedIn();
      const hash = createHash('sha256').update(refreshCookieOf(browser)).digest('base64url');
      await db.execute(sql`update refresh_tokens set expires_at = now() where hash = ${hash}`);
      const copy = browser.copy();
      expect(refusalOf(await copy.post('/auth/refresh'))).toBe('401 unauthenticated');
      expect((await browser.get('/auth/me')).status).toBe(200);
    });

    it('stores no refresh token, neither the rotated one nor its successor', async () => {
      const { browser } = await loggedIn();
      const rotated = refreshCookieOf(browser);
      await browser.post('/auth/refresh');
      const { rows } = await db.execute(sql`select * from refresh_tokens`);
      const stored = JSON.stringify(rows);
      for (const token of [rotated, refreshCookieOf(browser)]) expect(stored).not.toContain(token);
    });
  });
});

describe('POST /auth/logout', () => {
  it('revokes the access token and the refresh token of the session at once', async () => {
    const { browser } = await loggedIn();
    const copy = browser.copy();
    expect((await copy.get('/auth/me')).status).toBe(200);
    const answer = await browser.post('/auth/logout');
    expect(answer.status).toBe(204);
    expect([...browser.cookies.keys()]).toEqual(['octo_device']);
    expect(refusalOf(await copy.get('/auth/me'))).toBe('401 unauthenticated');
    expect(refusalOf(await copy.post('/auth/refresh'))).toBe('401 unauthenticated');
  });

  it('does not affect other sessions of the account', async () => {
    const { browser, email } = await loggedIn();
    const elsewhere = newBrowser();
    await elsewhere.login(email);
    await browser.post('/auth/logout');
    expect((await elsewhere.get('/auth/me')).status).toBe(200);
  });

  it('works with the refresh cookie alone', async () => {
    const { browser } = await loggedIn();
    const copy = browser.copy();
    browser.cookies.delete('octo_token');
    expect((await browser.post('/auth/logout')).status).toBe(204);
    expect((await copy.get('/auth/me')).status).toBe(401);
  });

  it('answers 204 without a session', async () => {
    expect((await newBrowser().post('/auth/logout')).status).toBe(204);
  });
});

describe('GET /auth/me', () => {
  it('accepts the access token as cookie and as bearer token', async () => {
    const { browser, login } = await loggedIn();
    const byCookie = await browser.get('/auth/me');
    const authorization = `Bearer ${browser.cookies.get('octo_token')}`;
    const byBearer = await newBrowser().get('/auth/me', { authorization });
    expect([byCookie.body, byBearer.body]).toEqual([login, login]);
  });

  it('refuses a missing token, and a forged bearer token next to a valid cookie', async () => {
    const { browser } = await loggedIn();
    const [header, claims] = (browser.cookies.get('octo_token') ?? '').split('.');
    const forged = { authorization: `Bearer ${header}.${claims}.${'A'.repeat(86)}` };
    const answers = await Promise.all([newBrowser().get('/auth/me'), browser.get('/auth/me', forged)]);
    for (const answer of answers) expect(refusalOf(answer)).toBe('401 unauthenticated');
    expect(answers.map((answer) => answer.headers.get('www-authenticate'))).toEqual([
      'Bearer',
      'Bearer error="invalid_token"',
    ]);
  });
});

describe('GET /auth/users', () => {
  it('lists all accounts to an admin, page by page', async () => {
    const { login } = await loggedIn();
    const browser = await admin();
    const seen: ManagedAccount[] = [];
    let cursor: string | null = '';
    while (cursor !== null) {
      // oxlint-disable-next-line no-await-in-loop -- each page has the cursor of the next
      const answer = await browser.get(`/auth/users?limit=2${cursor && `&cursor=${cursor}`}`);
      const page = accountListSchema.parse(answer.body);
      seen.push(...page.items);
      cursor = page.nextCursor;
    }
    const emails = seen.map((account) => account.email);
    expect(new Set(emails).size).toBe(emails.length);
    const demo = ['admin@octo.local', 'paid@octo.local', 'free@octo.local'];
    expect(emails).toEqual(expect.arrayContaining([...demo, login.email]));
    expect(JSON.stringify(seen)).not.toMatch(/argon|hash/i);
  });

  it('refuses accounts that are not admin', async () => {
    const { browser } = await loggedIn();
    expect(refusalOf(await browser.get('/auth/users'))).toBe('403 forbidden');
    expect(refusalOf(await newBrowser().get('/auth/users'))).toBe('401 unauthenticated');
  });

  it.each(['limit=0', 'limit=x', 'cursor=x', 'page=2'])('refuses ?%s', async (query) => {
    expect(refusalOf(await (await admin()).get(`/auth/users?${query}`))).toBe('400 invalid_request');
  });
});

describe('PATCH /auth/users/:id', () => {
  it('changes rights: old access tokens are refused, refreshed ones carry the new rights', async () => {
    const { browser, login } = await loggedIn();
    expect((await browser.get('/auth/me')).status).toBe(200);
    const answer = await (await admin()).patch(`/auth/users/${login.id}`, { paidAccess: true });
    expect(answer.status).toBe(200);
    expect(answer.body).toMatchObject({ id: login.id, paidAccess: true, role: 'user', disabled: false });
    expect(refusalOf(await browser.get('/auth/me'))).toBe('401 unauthenticated');
    expect((await browser.post('/auth/refresh')).body).toMatchObject({ paidAccess: true });
    expect((await browser.get('/auth/me')).body).toMatchObject({ paidAccess: true });
  });

  it('revokes no token when nothing changes', async () => {
    const { browser, login } = await loggedIn();
    await (await admin()).patch(`/auth/users/${login.id}`, { paidAccess: false, role: 'user', disabled: false });
    expect((await browser.get('/auth/me')).status).toBe(200);
  });

  it('revokes all sessions of a disabled account, which can log in again once it is enabled', async () => {
    const { browser, email, login } = await loggedIn();
    const adminBrowser = await admin();
    await adminBrowser.patch(`/auth/users/${login.id}`, { disabled: true });
    expect(refusalOf(await browser.get('/auth/me'))).toBe('401 unauthenticated');
    expect(refusalOf(await browser.post('/auth/refresh'))).toBe('401 unauthenticated');
    await adminBrowser.patch(`/auth/users/${login.id}`, { disabled: false });
    expect((await newBrowser().login(email)).status).toBe(200);
    expect((await browser.get('/auth/me')).status).toBe(401);
  });

  it('makes an account admin from its next refresh on', async () => {
    const { browser, login } = await loggedIn();
    await (await admin()).patch(`/auth/users/${login.id}`, { role: 'admin' });
    await browser.post('/auth/refresh');
    expect((await browser.get('/auth/users')).status).toBe(200);
    await (await admin()).patch(`/auth/users/${login.id}`, { role: 'user' });
    expect((await browser.get('/auth/users')).status).toBe(401);
  });

  it.each([{ disabled: true }, { role: 'user' }])('refuses to remove the last admin by %j', async (patch) => {
    const browser = await admin();
    const { id } = loginSchema.parse((await browser.get('/auth/me')).body);
    expect(refusalOf(await browser.patch(`/auth/users/${id}`, patch))).toBe('403 forbidden');
    expect((await browser.get('/auth/users')).status).toBe(200);
  });

  it('refuses unknown ids, malformed patches and callers that are not admin', async () => {
    const { browser, login } = await loggedIn();
    const adminBrowser = await admin();
    const unknownId = '11111111-1111-4111-8111-111111111111';
    expect(refusalOf(await adminBrowser.patch(`/auth/users/${unknownId}`, { paidAccess: true }))).toBe('404 not_found');
    expect(refusalOf(await adminBrowser.patch('/auth/users/not-a-uuid', { paidAccess: true }))).toBe('404 not_found');
    expect(refusalOf(await adminBrowser.patch(`/auth/users/${login.id}`, {}))).toBe('400 invalid_request');
    expect(refusalOf(await adminBrowser.patch(`/auth/users/${login.id}`, { email: newEmail() }))).toBe(
      '400 invalid_request',
    );
    expect(refusalOf(await browser.patch(`/auth/users/${login.id}`, { paidAccess: true }))).toBe('403 forbidden');
  });
});

describe('GET /.well-known/jwks.json', () => {
  it('has the public key that verifies tokens, and no part of the private key', async () => {
    const { browser } = await loggedIn();
    const [header = ''] = (browser.cookies.get('octo_token') ?? '').split('.');
    const { alg, kid } = JSON.parse(Buffer.from(header, 'base64url').toString()) as Record<string, string>;
    const answer = await newBrowser().get('/.well-known/jwks.json');
    expect(alg).toBe('ES256');
    expect(answer.headers.get('cache-control')).toBe('public, max-age=60');
    const coordinate = expect.stringMatching(/^[\w-]{43}$/);
    const jwk = { kty: 'EC', crv: 'P-256', x: coordinate, y: coordinate, kid, alg: 'ES256', use: 'sig' };
    expect(answer.body).toEqual({ keys: [jwk] });
  });
});

describe('the auth app', () => {
  it('is ready, and logs neither e-mail addresses of users nor tokens', async () => {
    expect((await newBrowser().get('/health/ready')).status).toBe(200);
    const { browser, email } = await loggedIn();
    await browser.login(email, 'wrong password');
    const log = JSON.stringify(stack.log);
    expect(log).toContain('admin@octo.local');
    for (const secret of [email, PASSWORD, ...browser.cookies.values()]) expect(log).not.toContain(secret);
  });
});
