import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { statsOf } from '../support/client.js';
import { type AnyBody, type Arena, newAccount, outcomeOf, startArena } from './arena.js';
import type { Answer } from '../support/client.js';

let arena: Arena;
beforeAll(async () => {
  // One message is free: the second one waits.
  arena = await startArena({ FREE_LIMIT: '1', FREE_BLOCK_MS: '600000' });
  await messageOf(arena.alice);
});
afterAll(() => arena.stop());

type Owner = Arena['alice'];

/** A message that waits for longer than the test takes, with what only its owner may know. */
async function messageOf(owner: Owner, key: string = randomUUID()): Promise<string> {
  const deliverBy = new Date(Date.now() + 6 * 86_400_000).toISOString();
  const body = { message: 'private text', deliverBy, paid: 'never' };
  const answer = await arena.send('POST', '/messages', { ...owner.bearer, 'idempotency-key': key }, body);
  expect([200, 202]).toContain(answer.status);
  return String(answer.body['id']);
}

/** What an answer says, apart from the fields that differ in every answer. */
function saying({ status, body }: Answer<AnyBody>): unknown {
  const { requestId: _requestId, instance: _instance, ...rest } = body ?? {};
  return { status, ...rest };
}

describe('a user', () => {
  it.each([
    ['GET', '/messages/:id'],
    ['DELETE', '/messages/:id'],
    ['GET', '/messages/:id/events'],
  ])('%s %s of another account answers as for an unknown id', async (method, path) => {
    const [own, id] = [await messageOf(arena.mallory), await messageOf(arena.alice)];
    const at = (target: string) => arena.send(method, path.replace(':id', target), arena.mallory.bearer);
    const [foreign, unknown] = [await at(id), await at(randomUUID())];
    expect(foreign.status).toBe(404);
    expect(saying(foreign)).toEqual(saying(unknown));
    expect((await arena.send('GET', `/messages/${id}`, arena.alice.bearer)).body['status']).toBe('waiting');
    expect((await arena.send('GET', `/messages/${own}`, arena.mallory.bearer)).status).toBe(200);
  });

  it('finds no message of another account by an id next to an own one', async () => {
    const own = await messageOf(arena.mallory);
    const foreign = await messageOf(arena.alice);
    // Ids begin with their time: only the random part protects them.
    const guesses = [
      foreign,
      foreign.toUpperCase(),
      `${own.slice(0, 13)}${foreign.slice(13)}`,
      `${foreign}%00`,
      `{${foreign}}`,
      `urn:uuid:${foreign}`,
      `${foreign}?accountId=${arena.alice.id}`,
    ];
    for (const guess of guesses)
      expect((await arena.send('GET', `/messages/${guess}`, arena.mallory.bearer)).status).toBe(404);
  });

  it('sees only own messages in a list, whatever cursor or account it names', async () => {
    const foreign = await messageOf(arena.alice);
    await messageOf(arena.alice);
    const page = await arena.send('GET', '/messages?limit=1', arena.alice.bearer);
    const list = await arena.send(
      'GET',
      `/messages?limit=100&cursor=${String(page.body['nextCursor'])}`,
      arena.mallory.bearer,
    );
    expect(list.status).toBe(200);
    expect(JSON.stringify(list.body)).not.toContain(foreign);
    for (const query of ['account', 'accountId', 'account_id', 'sub', 'user']) {
      expect((await arena.send('GET', `/messages?${query}=${arena.alice.id}`, arena.mallory.bearer)).status).toBe(400);
    }
  });

  it.each(["' or '1'='1", '1; drop table messages', '\\', '%27', '*', '[object Object]'])(
    'cannot change a query by the filter %j',
    async (value) => {
      for (const name of ['status', 'cursor', 'limit', 'provider', 'channel']) {
        const path = `/messages?${name}=${encodeURIComponent(value)}`;
        expect((await arena.send('GET', path, arena.mallory.bearer)).status).toBe(400);
      }
    },
  );

  it('with the idempotency key of another account sends an own message and learns nothing', async () => {
    const key = randomUUID();
    const foreign = await messageOf(arena.alice, key);
    const own = await messageOf(arena.mallory, key);
    expect(own).not.toBe(foreign);
    expect((await arena.send('GET', `/messages/${own}`, arena.mallory.bearer)).body['callbackUrl']).toBeNull();
  });

  it('cannot delete a key of another account, and gets the answer for an unknown id', async () => {
    const at = (id: string) => arena.send('DELETE', `/auth/keys/${id}`, arena.mallory.bearer);
    const [foreign, unknown] = [await at(arena.alice.keyId), await at(randomUUID())];
    expect([foreign.status, saying(foreign)]).toEqual([404, saying(unknown)]);
    expect((await arena.send('GET', '/auth/me', arena.alice.key)).status).toBe(200);
  });

  it('cannot end a session of another account, and gets the answer for an unknown id', async () => {
    const { body } = await arena.send('GET', '/auth/sessions', arena.alice.bearer);
    const [session] = body['items'] as { id: string }[];
    const at = (id: string) => arena.send('DELETE', `/auth/sessions/${id}`, arena.mallory.bearer);
    const [foreign, unknown] = [await at(session?.id ?? ''), await at(randomUUID())];
    expect([foreign.status, saying(foreign)]).toEqual([404, saying(unknown)]);
    expect((await arena.send('GET', '/auth/me', arena.alice.bearer)).status).toBe(200);
  });

  it('cannot log out another account by its id or session', async () => {
    const body = { accountId: arena.alice.id };
    await arena.send('POST', `/auth/logout?accountId=${arena.alice.id}`, { 'x-account-id': arena.alice.id }, body);
    expect((await arena.send('GET', '/auth/me', arena.alice.bearer)).status).toBe(200);
  });

  const routes: [string, string, unknown][] = [
    ['GET', '/auth/users', undefined],
    ['GET', '/auth/security-log', undefined],
    ['PATCH', '/auth/users/:own', { role: 'admin' }],
    ['PATCH', '/auth/users/:own', { paidAccess: true }],
    ['PATCH', '/auth/users/:other', { disabled: true }],
    ['POST', '/auth/users/:other/reset-token', {}],
  ];
  it.each(routes)('cannot call %s %s with the body %j', async (method, path, body) => {
    const url = path.replace(':own', arena.mallory.id).replace(':other', arena.alice.id);
    expect(outcomeOf(await arena.send(method, url, arena.mallory.bearer, body))).toBe('403 forbidden');
    expect(outcomeOf(await arena.send(method, url, {}, body))).toBe('401 unauthenticated');
    expect(outcomeOf(await arena.send(method, url, arena.admin.key, body))).toBe('403 forbidden');
    expect((await arena.send('GET', '/auth/me', arena.mallory.bearer)).body).toMatchObject({
      role: 'user',
      paidAccess: false,
    });
  });

  const grants: [string, string][] = [
    ['role', '"role":"admin"'],
    ['paidAccess', '"paidAccess":true'],
    ['disabled', '"disabled":false'],
    ['id', '"id":"7d444840-9dc0-11d1-b245-5ffdce74fad2"'],
    ['__proto__', '"__proto__":{"role":"admin","paidAccess":true}'],
    ['constructor', '"constructor":{"prototype":{"role":"admin"}}'],
  ];
  it.each(grants)('cannot set %s by registering, logging in or creating a key', async (_field, grant) => {
    const credentials = `"email":"${randomUUID()}@example.com","password":"octo-demo-password"`;
    expect((await arena.send('POST', '/auth/register', {}, `{${credentials},${grant}}`)).status).toBe(400);
    expect((await arena.send('POST', '/auth/login', {}, `{${credentials},${grant}}`)).status).toBe(400);
    expect((await arena.send('POST', '/auth/keys', arena.mallory.bearer, `{"name":"a",${grant}}`)).status).toBe(400);
  });

  it('without paid access pays for no message, whatever it asks for', async () => {
    const before = (await statsOf(arena.stack.origin.paid)).accepted;
    for (const body of [{ message: 'a' }, { message: 'a', paid: 'allowed' }]) {
      expect(outcomeOf(await arena.send('POST', '/messages', arena.mallory.bearer, body))).toBe(
        '403 paid_access_required',
      );
      expect(outcomeOf(await arena.send('POST', '/messages', arena.mallory.key, body))).toBe(
        '403 paid_access_required',
      );
    }
    expect((await statsOf(arena.stack.origin.paid)).accepted).toBe(before);
  });
});

describe('an API key', () => {
  it('ends no session, neither of its own account nor of another one', async () => {
    const account = await newAccount(arena.gateway);
    expect((await arena.send('POST', '/auth/logout', account.key)).status).toBe(204);
    expect((await arena.send('GET', '/auth/me', account.bearer)).status).toBe(200);
    expect((await arena.send('GET', '/auth/me', account.key)).status).toBe(200);
  });

  it.each([
    ['POST', '/auth/keys', { name: 'another' }],
    ['POST', '/auth/password', { currentPassword: 'octo-demo-password', newPassword: 'another long password' }],
    ['POST', '/auth/totp', { currentPassword: 'octo-demo-password' }],
    ['POST', '/auth/totp/disable', { currentPassword: 'octo-demo-password' }],
    ['GET', '/auth/sessions', undefined],
    ['DELETE', '/auth/sessions/7d444840-9dc0-11d1-b245-5ffdce74fad2', undefined],
  ])('cannot take over its account by %s %s', async (method, path, body) => {
    expect(outcomeOf(await arena.send(method, path, arena.mallory.key, body))).toBe('403 forbidden');
  });

  it('of an account cannot read the messages of another one', async () => {
    const id = await messageOf(arena.alice);
    expect((await arena.send('GET', `/messages/${id}`, arena.mallory.key)).status).toBe(404);
  });
});

describe('an admin', () => {
  it.each(['id', 'email', 'passwordHash', 'createdAt', '__proto__'])(
    'cannot write the field %s of an account',
    async (field) => {
      const body = `{"paidAccess":false,"${field}":"x"}`;
      expect((await arena.send('PATCH', `/auth/users/${arena.alice.id}`, arena.admin.bearer, body)).status).toBe(400);
    },
  );

  it('reads no message of a user', async () => {
    const id = await messageOf(arena.alice);
    expect((await arena.send('GET', `/messages/${id}`, arena.admin.bearer)).status).toBe(404);
  });

  it('sees no password, hash or secret in the list of accounts', async () => {
    const { body } = await arena.send('GET', '/auth/users', arena.admin.bearer);
    expect(Object.keys((body['items'] as object[])[0] ?? {}).toSorted()).toEqual([
      'budget',
      'createdAt',
      'disabled',
      'email',
      'freeShare',
      'id',
      'paidAccess',
      'priority',
      'role',
    ]);
  });
});

describe('an answer to a login', () => {
  it('takes as long for an unknown e-mail address as for a wrong password', async () => {
    const timed = async (email: string): Promise<number> => {
      const startedMs = performance.now();
      expect(outcomeOf(await arena.send('POST', '/auth/login', {}, { email, password: 'wrong password' }))).toBe(
        '401 invalid_credentials',
      );
      return performance.now() - startedMs;
    };
    const median = (values: number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
    const [known, unknown]: [number[], number[]] = [[], []];
    // In turn, so that other load slows both.
    for (let round = 0; round < 9; round += 1) {
      known.push(await timed(`x${round}.${arena.alice.email}`));
      unknown.push(await timed(arena.alice.email));
    }
    // Without the hash an answer takes a tenth of the time.
    const ratio = median(known) / median(unknown);
    expect(ratio).toBeGreaterThan(0.4);
    expect(ratio).toBeLessThan(2.5);
  });

  it('says the same of an unknown reset token, whatever account there is', async () => {
    const answers = await Promise.all(
      ['a', 'b'.repeat(43), arena.alice.refreshToken].map((token) =>
        arena.send('POST', '/auth/password/reset', {}, { token, newPassword: 'correct horse battery' }),
      ),
    );
    expect(new Set(answers.map(outcomeOf))).toEqual(new Set(['400 invalid_reset_token']));
  });
});
