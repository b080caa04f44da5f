import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { sql } from 'drizzle-orm';
import {
  createdApiKeySchema,
  type CreatedWebhookSecret,
  createdWebhookSecretSchema,
  loginSchema,
  securityLogSchema,
} from '#contracts';
import { type Database, openDatabase } from '#database';
import { startPostgres } from '../../../verification/engines/suite-postgres.js';
import { startStack, type Stack } from '../../../test/support/stack.js';
import { type Answer, Browser, newEmail, PASSWORD, refusalOf } from './browser.js';

const PATH = '/auth/webhook-secret';
const CALLBACK_MASTER_SECRETS = `whsec_${randomBytes(32).toString('base64')}`;
const DAY_MS = 86_400_000;

let stack: Stack;
let postgres: Awaited<ReturnType<typeof startPostgres>>;
let db: Database;
beforeAll(async () => {
  postgres = await startPostgres();
  db = openDatabase(postgres.url, { connections: 1 });
  stack = await startStack({ apps: ['auth'], env: { CALLBACK_MASTER_SECRETS, DATABASE_URL: postgres.url } });
});
afterAll(async () => {
  await stack.stop();
  await db.$client.end();
  await postgres.stop();
});

async function loggedIn(origin = stack.origin.auth): Promise<{ browser: Browser; id: string }> {
  const browser = new Browser(origin);
  const email = newEmail();
  await browser.post('/auth/register', { email, password: PASSWORD });
  return { browser, id: loginSchema.parse((await browser.login(email)).body).id };
}

function createdBy(answer: Answer): CreatedWebhookSecret {
  expect(answer.status).toBe(201);
  return createdWebhookSecretSchema.parse(answer.body);
}

describe('POST /auth/webhook-secret', () => {
  it('shows a new secret of 256 bits once, and says until when the one before it signs', async () => {
    const { browser } = await loggedIn();
    const first = createdBy(await browser.post(PATH));
    expect(first).toMatchObject({ version: 1, secret: expect.stringMatching(/^whsec_[A-Za-z0-9+/]{43}=$/) });
    expect(Date.parse(first.previousExpiresAt) - Date.parse(first.createdAt)).toBe(DAY_MS);
    expect(Math.abs(Date.parse(first.createdAt) - Date.now())).toBeLessThan(60_000);
    const second = createdBy(await browser.post(PATH));
    expect(second.version).toBe(2);
    expect(second.secret).not.toBe(first.secret);
    const { secret: _, ...shown } = second;
    expect((await browser.get(PATH)).body).toEqual(shown);
  });

  it('gives concurrent requests secrets of different versions', async () => {
    const { browser } = await loggedIn();
    const created = (await Promise.all(Array.from({ length: 5 }, () => browser.post(PATH)))).map(createdBy);
    expect(new Set(created.map(({ version }) => version))).toEqual(new Set([1, 2, 3, 4, 5]));
    expect(new Set(created.map(({ secret }) => secret)).size).toBe(5);
  });

  it('gives accounts different secrets of the same version', async () => {
    const secrets = [];
    for (let account = 0; account < 2; account += 1) {
      const { browser } = await loggedIn();
      secrets.push(createdBy(await browser.post(PATH)).secret);
    }
    expect(new Set(secrets).size).toBe(2);
  });

  it('needs a login within 15 minutes, or the password', async () => {
    const { browser, id } = await loggedIn();
    await db.execute(sql`update sessions set created_at = now() - interval '16 minutes' where account_id = ${id}`);
    expect(refusalOf(await browser.post(PATH))).toBe('403 reauthentication_required');
    expect(refusalOf(await browser.post(PATH, { currentPassword: 'a guess' }))).toBe('401 invalid_credentials');
    expect(refusalOf(await browser.get(PATH))).toBe('404 not_found');
    expect(createdBy(await browser.post(PATH, { currentPassword: PASSWORD })).version).toBe(1);
  });

  it('is refused for an API key, and without a login', async () => {
    const { browser } = await loggedIn();
    const { key } = createdApiKeySchema.parse((await browser.post('/auth/keys', { name: 'test' })).body);
    const bearer = { authorization: `Bearer ${key}` };
    const stranger = new Browser(stack.origin.auth);
    expect(refusalOf(await stranger.post(PATH, { currentPassword: PASSWORD }, bearer))).toBe('403 forbidden');
    expect(refusalOf(await stranger.get(PATH, bearer))).toBe('403 forbidden');
    expect(refusalOf(await stranger.post(PATH))).toBe('401 unauthenticated');
    expect(refusalOf(await stranger.get(PATH))).toBe('401 unauthenticated');
    expect(refusalOf(await browser.get(PATH))).toBe('404 not_found');
  });

  it('is refused without CALLBACK_MASTER_SECRETS', async () => {
    const without = await startStack({ apps: ['auth'], env: { DATABASE_URL: postgres.url } });
    try {
      const { browser } = await loggedIn(without.origin.auth);
      expect(refusalOf(await browser.post(PATH))).toBe('403 forbidden');
    } finally {
      await without.stop();
    }
  });

  it('is in the security log, with the version and without the secret', async () => {
    const { browser, id } = await loggedIn();
    const { secret } = createdBy(await browser.post(PATH));
    const admin = new Browser(stack.origin.auth);
    await admin.login('admin@octo.local');
    const log = securityLogSchema.parse((await admin.get(`/auth/security-log?accountId=${id}`)).body);
    const events = log.items.filter(({ event }) => event === 'webhook_secret_created');
    expect(events).toEqual([expect.objectContaining({ actorId: id, result: 'ok', detail: 'version 1' })]);
    const { rows } = await db.execute(sql`select * from callback_secrets`);
    expect(rows).toContainEqual(expect.objectContaining({ account_id: id, version: 1 }));
    expect(JSON.stringify([log, rows, stack.log])).not.toContain(secret.slice('whsec_'.length));
  });
});
