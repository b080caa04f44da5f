import { createHmac, randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { sql } from 'drizzle-orm';
import { createdWebhookSecretSchema, loginSchema } from '#contracts';
import { type Database, openDatabase } from '#database';
import { Browser, newEmail, PASSWORD } from '../apps/auth/test/browser.js';
import { type Received, type Receiver, startReceiver } from '../apps/gateway/test/receiver.js';
import { waitUntil } from '../tools/stack/wait-until.js';
import { startPostgres } from '../verification/engines/suite-postgres.js';
import { type Stack, startStack } from './support/stack.js';

const newSecret = (): string => `whsec_${randomBytes(32).toString('base64')}`;
const DEPLOYMENT = newSecret();

let stack: Stack;
let postgres: Awaited<ReturnType<typeof startPostgres>>;
let db: Database;
let receiver: Receiver;
beforeAll(async () => {
  postgres = await startPostgres();
  db = openDatabase(postgres.url, { connections: 1 });
  receiver = await startReceiver();
  const env = {
    DATABASE_URL: postgres.url,
    FREE_LIMIT: '1000',
    CALLBACK_SECRETS: DEPLOYMENT,
    CALLBACK_MASTER_SECRETS: newSecret(),
    CALLBACK_ALLOW_PRIVATE: 'true',
  };
  stack = await startStack({ apps: ['auth', 'gateway', 'free-provider'], env });
});
afterAll(async () => {
  await stack.stop();
  await receiver.stop();
  await db.$client.end();
  await postgres.stop();
});

interface Account {
  browser: Browser;
  id: string;
}

async function newAccount(): Promise<Account> {
  const browser = new Browser(stack.origin.gateway);
  const email = newEmail();
  await browser.post('/auth/register', { email, password: PASSWORD });
  return { browser, id: loginSchema.parse((await browser.login(email)).body).id };
}

async function createSecret({ browser }: Account): Promise<string> {
  return createdWebhookSecretSchema.parse((await browser.post('/auth/webhook-secret')).body).secret;
}

/** As if the account had created its current secret 24 hours ago. */
async function endOverlap({ id }: Account): Promise<void> {
  await db.execute(sql`update callback_secrets set created_at = now() - interval '24 hours' where account_id = ${id}`);
}

async function webhookOf({ browser }: Account): Promise<Received> {
  const answer = await browser.post('/messages', { message: 'hello', callbackUrl: receiver.url });
  expect(answer.status).toBe(200);
  const { id } = answer.body as { id: string };
  const arrived = () => receiver.received.find((request) => request.id === id);
  await waitUntil(() => arrived() !== undefined, { what: 'the webhook arrives' });
  return arrived() as Received;
}

const signaturesOf = ({ headers }: Pick<Received, 'headers'>): string[] =>
  String(headers['webhook-signature']).split(' ');

/** Which of the secrets verify the webhook, as a receiver checks it by Standard Webhooks. */
function verifying(secrets: Record<string, string>, { headers, body }: Received): string[] {
  const signed = [headers['webhook-id'], headers['webhook-timestamp'], body].join('.');
  return Object.keys(secrets).filter((name) => {
    const key = Buffer.from((secrets[name] ?? '').replace('whsec_', ''), 'base64');
    return signaturesOf({ headers }).includes(`v1,${createHmac('sha256', key).update(signed).digest('base64')}`);
  });
}

describe('webhooks', () => {
  it('are signed with the secret of the deployment while the account has none of its own', async () => {
    const webhook = await webhookOf(await newAccount());
    expect(verifying({ DEPLOYMENT }, webhook)).toEqual(['DEPLOYMENT']);
    expect(signaturesOf(webhook)).toHaveLength(1);
  });

  it('of two accounts with secrets verify with the secret of their own account only', async () => {
    const [first, second] = [await newAccount(), await newAccount()];
    const secrets = { first: await createSecret(first), second: await createSecret(second), DEPLOYMENT };
    await endOverlap(first);
    await endOverlap(second);
    const webhooks = [await webhookOf(first), await webhookOf(second)];
    expect(webhooks.map((webhook) => verifying(secrets, webhook))).toEqual([['first'], ['second']]);
    expect(webhooks.flatMap(signaturesOf)).toHaveLength(2);
  });

  it('verify with the secret before the current one for 24 hours, and not with an older one', async () => {
    const account = await newAccount();
    const secrets: Record<string, string> = { DEPLOYMENT };
    const verify = async () => verifying(secrets, await webhookOf(account));
    secrets['one'] = await createSecret(account);
    expect(await verify()).toEqual(['DEPLOYMENT', 'one']);
    secrets['two'] = await createSecret(account);
    expect(await verify()).toEqual(['one', 'two']);
    await endOverlap(account);
    expect(await verify()).toEqual(['two']);
    secrets['three'] = await createSecret(account);
    expect(await verify()).toEqual(['two', 'three']);
  });

  it('leave no secret in logs, lists, records and tables', async () => {
    const account = await newAccount();
    const secret = await createSecret(account);
    const { id } = await webhookOf(account);
    const admin = new Browser(stack.origin.gateway);
    await admin.login('admin@octo.local');
    const own = ['/auth/webhook-secret', '/auth/me', '/auth/keys', '/auth/sessions', '/messages', `/messages/${id}`];
    const ofAdmin = ['/auth/users?limit=100', '/auth/security-log?limit=100'];
    const answers = [
      ...(await Promise.all(own.map((path) => account.browser.get(path)))),
      ...(await Promise.all(ofAdmin.map((path) => admin.get(path)))),
    ];
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
    const tables = await Promise.all(
      ['callback_secrets', 'callbacks', 'accounts', 'security_events'].map((table) =>
        db.execute(sql`select to_jsonb(t)::text as row from ${sql.identifier(table)} t`),
      ),
    );
    const rows = tables.flatMap((table) => table.rows);
    expect(JSON.stringify(rows)).toContain(account.id);
    const seen = JSON.stringify([answers.map(({ body }) => body), rows, stack.log, receiver.received]);
    expect(seen).not.toContain(secret.slice('whsec_'.length));
    expect(seen).not.toContain(DEPLOYMENT.slice('whsec_'.length));
  });
});
