import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { sql } from 'drizzle-orm';
import { apiKeyListSchema, type CreatedApiKey, createdApiKeySchema, type ListedApiKey, loginSchema } from '#contracts';
import { type Database, openDatabase } from '#database';
import { waitUntil } from '../../../tools/stack/wait-until.js';
import { startPostgres } from '../../../verification/engines/suite-postgres.js';
import { startStack, type Stack } from '../../../test/support/stack.js';
import { type Answer, Browser, newEmail, PASSWORD, problemOf, refusalOf } from './browser.js';

let stack: Stack;
let postgres: Awaited<ReturnType<typeof startPostgres>>;
let db: Database;
beforeAll(async () => {
  postgres = await startPostgres();
  db = openDatabase(postgres.url, { connections: 1 });
  stack = await startStack({ apps: ['auth'], env: { DATABASE_URL: postgres.url } });
});
afterAll(async () => {
  await stack.stop();
  await db.$client.end();
  await postgres.stop();
});

const newBrowser = (): Browser => new Browser(stack.origin.auth);

async function loggedIn(): Promise<{ browser: Browser; id: string }> {
  const browser = newBrowser();
  const email = newEmail();
  await browser.post('/auth/register', { email, password: PASSWORD });
  return { browser, id: loginSchema.parse((await browser.login(email)).body).id };
}

async function admin(): Promise<Browser> {
  const browser = newBrowser();
  expect((await browser.login('admin@octo.local')).status).toBe(200);
  return browser;
}

async function createKey(browser: Browser, body: object = {}): Promise<CreatedApiKey> {
  const answer = await browser.post('/auth/keys', { name: 'test', ...body });
  expect(answer.status).toBe(201);
  return createdApiKeySchema.parse(answer.body);
}

async function listOf(browser: Browser): Promise<ListedApiKey[]> {
  return apiKeyListSchema.parse((await browser.get('/auth/keys')).body).items;
}

const bearer = (key: string) => ({ authorization: `Bearer ${key}` });
const me = (key: string): Promise<Answer> => newBrowser().get('/auth/me', bearer(key));
const inAnHour = (): string => new Date(Date.now() + 3_600_000).toISOString();

describe('POST /auth/keys', () => {
  it('creates a key that authenticates its account, and stores a hash of it only', async () => {
    const { browser, id } = await loggedIn();
    const created = await createKey(browser, { name: '  nightly reports ' });
    expect(created).toMatchObject({ name: 'nightly reports', key: expect.stringMatching(/^octo_[0-9A-Za-z]{49}$/) });
    expect(Object.keys(created).toSorted()).toEqual(['id', 'key', 'name']);
    const answer = await me(created.key);
    expect(answer).toMatchObject({ status: 200, body: { id, role: 'user', expiresAt: null } });
    const { rows } = await db.execute(sql`select * from api_keys where id = ${created.id}`);
    expect(JSON.stringify(rows)).not.toContain(created.key);
  });

  it('creates a key with an expiry, after which it is refused', async () => {
    const { browser } = await loggedIn();
    const expiresAt = inAnHour();
    const { id, key } = await createKey(browser, { expiresAt });
    expect((await me(key)).body).toMatchObject({ expiresAt });
    await db.execute(sql`update api_keys set expires_at = now() where id = ${id}`);
    await waitUntil(async () => (await me(key)).status === 401, { what: 'the key has expired', deadlineMs: 15_000 });
  });

  it.each([
    [{}, ['/name']],
    [{ name: '' }, ['/name']],
    [{ name: ' ' }, ['/name']],
    [{ name: 'x'.repeat(101) }, ['/name']],
    [{ name: 'a\u0000b' }, ['/name']],
    [{ name: 'a\ud800' }, ['/name']],
    [{ name: 'a', expiresAt: '2020-01-01T00:00:00Z' }, ['/expiresAt']],
    [{ name: 'a', expiresAt: 'tomorrow' }, ['/expiresAt']],
    [{ name: 'a', role: 'admin' }, ['/role']],
  ])('answers 400 to %j and names the bad field', async (body, pointers) => {
    const { browser } = await loggedIn();
    const answer = await browser.post('/auth/keys', body);
    expect(refusalOf(answer)).toBe('400 invalid_request');
    expect(problemOf(answer).errors?.map((error) => error.pointer)).toEqual(pointers);
  });

  it('creates at most 20 keys for an account, also for concurrent requests, and again after one is deleted', async () => {
    const { browser } = await loggedIn();
    const answers = await Promise.all(Array.from({ length: 25 }, () => browser.post('/auth/keys', { name: 'test' })));
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(20);
    const refused = answers.filter(({ status }) => status !== 201).map(refusalOf);
    expect(new Set(refused)).toEqual(new Set(['400 invalid_request']));
    const [first] = await listOf(browser);
    expect((await browser.delete(`/auth/keys/${first?.id}`)).status).toBe(204);
    await createKey(browser);
  });

  it('refuses a caller without a token, and an API key: a stolen key must not outlive its revocation', async () => {
    const { browser } = await loggedIn();
    const { key } = await createKey(browser);
    expect(refusalOf(await newBrowser().post('/auth/keys', { name: 'a' }))).toBe('401 unauthenticated');
    expect(refusalOf(await newBrowser().post('/auth/keys', { name: 'a' }, bearer(key)))).toBe('403 forbidden');
  });
});

describe('GET /auth/keys', () => {
  it('lists the keys of the account, newest first, without the keys themselves', async () => {
    const { browser } = await loggedIn();
    const expiresAt = inAnHour();
    const first = await createKey(browser, { name: 'first' });
    const second = await createKey(browser, { name: 'second', expiresAt });
    await createKey((await loggedIn()).browser);
    const items = await listOf(browser);
    expect(items).toEqual([
      {
        id: second.id,
        name: 'second',
        prefix: second.key.slice(0, 9),
        createdAt: expect.any(String),
        expiresAt,
        lastUsedAt: null,
      },
      {
        id: first.id,
        name: 'first',
        prefix: first.key.slice(0, 9),
        createdAt: expect.any(String),
        expiresAt: null,
        lastUsedAt: null,
      },
    ]);
  });

  it('shows when a key was last used', async () => {
    const { browser } = await loggedIn();
    const { key } = await createKey(browser);
    await me(key);
    await waitUntil(async () => (await listOf(browser))[0]?.lastUsedAt !== null, { what: 'the use is recorded' });
  });
});

describe('DELETE /auth/keys/:id', () => {
  it('revokes the key at once, and no other', async () => {
    const { browser } = await loggedIn();
    const [revoked, other] = [await createKey(browser), await createKey(browser)];
    expect([(await me(revoked.key)).status, (await me(other.key)).status]).toEqual([200, 200]);
    expect((await browser.delete(`/auth/keys/${revoked.id}`)).status).toBe(204);
    expect(refusalOf(await me(revoked.key))).toBe('401 unauthenticated');
    expect((await me(other.key)).status).toBe(200);
    expect((await listOf(browser)).map(({ id }) => id)).toEqual([other.id]);
  });

  it('answers 404 for a key of another account, an unknown id and a malformed one', async () => {
    const { browser } = await loggedIn();
    const { id, key } = await createKey((await loggedIn()).browser);
    for (const unknown of [id, randomUUID(), 'not-a-uuid']) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      expect(refusalOf(await browser.delete(`/auth/keys/${unknown}`))).toBe('404 not_found');
    }
    expect((await me(key)).status).toBe(200);
  });
});

describe('an API key', () => {
  it('has the paid access that its account has at the moment', async () => {
    const { browser, id } = await loggedIn();
    const { key } = await createKey(browser);
    expect((await me(key)).body).toMatchObject({ paidAccess: false });
    await (await admin()).patch(`/auth/users/${id}`, { paidAccess: true });
    expect((await me(key)).body).toMatchObject({ paidAccess: true });
  });

  it('is refused while its account is disabled, and accepted when it is enabled again', async () => {
    const { browser, id } = await loggedIn();
    const { key } = await createKey(browser);
    expect((await me(key)).status).toBe(200);
    const adminBrowser = await admin();
    await adminBrowser.patch(`/auth/users/${id}`, { disabled: true });
    expect(refusalOf(await me(key))).toBe('401 unauthenticated');
    await adminBrowser.patch(`/auth/users/${id}`, { disabled: false });
    expect((await me(key)).status).toBe(200);
  });

  it('of an admin has no admin rights', async () => {
    const { key } = await createKey(await admin());
    expect((await me(key)).status).toBe(200);
    expect(refusalOf(await newBrowser().get('/auth/users', bearer(key)))).toBe('403 forbidden');
  });

  it('survives a logout of the session that created it', async () => {
    const { browser } = await loggedIn();
    const { key } = await createKey(browser);
    await browser.post('/auth/logout');
    expect((await me(key)).status).toBe(200);
  });

  it.each(['octo_', `octo_${'a'.repeat(49)}`, 'octo_\u00e9'])('%j is refused as invalid', async (key) => {
    const answer = await newBrowser().get('/auth/me', { authorization: `Bearer ${encodeURI(key)}` });
    expect(refusalOf(answer)).toBe('401 unauthenticated');
    expect(answer.headers.get('www-authenticate')).toBe('Bearer error="invalid_token"');
  });

  it('never appears in the log', async () => {
    const { browser } = await loggedIn();
    const { id, key } = await createKey(browser);
    await me(key);
    await browser.delete(`/auth/keys/${id}`);
    await me(key);
    expect(JSON.stringify(stack.log)).not.toContain(key);
  });
});
