import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { migrate, openDatabase } from '#database';
import { createDatabase, PostgresServer } from '../verification/engines/postgres-server.js';
import { call, login, postMessage, recordOf } from './support/client.js';
import { type Stack, startStack } from './support/stack.js';

const ROLE = 'octo_gateway';
/** As in an address: a role may have any password. */
const PASSWORD = 'a/b@c:d%';

let postgres: PostgresServer;
let ownerUrl: string;
let gatewayUrl: string;
let stack: Stack;
let owner: pg.Client;
let gateway: pg.Client;

beforeAll(async () => {
  postgres = await PostgresServer.start({ accessRules: [`host all ${ROLE} 127.0.0.1/32 scram-sha-256`] });
  ownerUrl = await createDatabase(postgres.url);
  gatewayUrl = ownerUrl.replace('postgres@', `${ROLE}:${encodeURIComponent(PASSWORD)}@`);
  // All apps start together: the gateway waits until auth has migrated.
  stack = await startStack({ env: { DATABASE_URL: ownerUrl, GATEWAY_DATABASE_URL: gatewayUrl } });
  owner = new pg.Client(ownerUrl);
  gateway = new pg.Client(gatewayUrl);
  await Promise.all([owner.connect(), gateway.connect()]);
});
afterAll(async () => {
  await gateway?.end();
  await owner?.end();
  await stack?.stop();
  await postgres?.remove();
});

const REFUSED = /permission denied|must be owner/;

async function logInWithKey(): Promise<{ authorization: string }> {
  const cookie = await login(stack.origin.gateway);
  const { body } = await call<{ key: string }>(`${stack.origin.gateway}/auth/keys`, {
    method: 'POST',
    headers: { cookie, 'content-type': 'application/json' },
    body: JSON.stringify({ name: 'test' }),
  });
  return { authorization: `Bearer ${body.key}` };
}

describe('a gateway with a role of its own', () => {
  it('sends messages with a session and with an API key, and keeps messages that wait', async () => {
    const cookie = await login(stack.origin.gateway);
    const { status, body } = await postMessage(stack.origin.gateway, cookie, undefined, { 'idempotency-key': 'one' });
    expect(status).toBe(200);
    expect((await recordOf(stack.origin.gateway, cookie, body.id ?? '')).body.status).toBe('delivered');
    const key = await logInWithKey();
    expect((await postMessage(stack.origin.gateway, '', undefined, key)).status).toBe(200);
    const waiting = await postMessage(stack.origin.gateway, cookie, undefined, { prefer: 'respond-async' });
    expect(waiting.status).toBe(202);
  });

  it('records when an API key was used', async () => {
    const key = await logInWithKey();
    await postMessage(stack.origin.gateway, '', undefined, key);
    const { rows } = await owner.query('select from api_keys where last_used_at is not null');
    expect(rows.length).toBeGreaterThan(0);
  });

  it('logs no statement that Postgres refused', () => {
    expect(stack.log.filter(({ app, level }) => app.startsWith('gateway') && level !== 'info')).toEqual([]);
  });
});

describe('the role of the gateways', () => {
  it.each([
    'select password_hash from accounts',
    'select totp_secret from accounts',
    'select * from accounts',
    "update accounts set role = 'admin'",
    "insert into accounts (email, password_hash) values ('new@octo.local', '')",
    'select 1 from sessions',
    'select 1 from refresh_tokens',
    'select 1 from password_resets',
    'select 1 from security_events',
    'delete from revoked_access',
    'update api_keys set account_id = id',
    'select name from api_keys',
    'create table mine (id int)',
    'create function lower(text) returns text language sql return $1',
    'drop table messages',
    'set role postgres',
  ])('may not: %s', async (statement) => {
    await expect(gateway.query(statement)).rejects.toThrow(REFUSED);
  });

  it('may not read a column of accounts that a later release adds', async () => {
    await owner.query("alter table accounts add column fresh text default 'secret'");
    await expect(gateway.query('select fresh from accounts')).rejects.toThrow(REFUSED);
    await expect(gateway.query('select id, paid_access, disabled from accounts')).resolves.toBeDefined();
  });

  it('loses rights that are not its own when auth starts again', async () => {
    await owner.query(`grant select on sessions to ${ROLE}; grant select (email) on accounts to ${ROLE}`);
    const db = openDatabase(ownerUrl);
    await migrate(db, gatewayUrl);
    await db.$client.end();
    await expect(gateway.query('select 1 from sessions')).rejects.toThrow(REFUSED);
    await expect(gateway.query('select email from accounts')).rejects.toThrow(REFUSED);
    await expect(gateway.query('select 1 from messages')).resolves.toBeDefined();
  });
});
