import { createHmac, createPublicKey, generateKeyPairSync, type KeyObject, randomUUID, sign } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { keyIdOf } from '#access-token';
import { startReceiver } from '../../apps/gateway/test/receiver.js';
import { rawRequest } from '../support/raw-connection.js';
import { type Account, type Arena, type Headers, newAccount, outcomeOf, startArena } from './arena.js';

let arena: Arena;
let victim: Account;
beforeAll(async () => {
  arena = await startArena();
  victim = arena.admin;
});
afterAll(() => arena.stop());

type Fields = Record<string, unknown>;
const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
const decode = (part: string | undefined): Fields => JSON.parse(Buffer.from(part ?? '', 'base64url').toString());
const header = (): Fields => decode(victim.token.split('.')[0]);
const claims = (): Fields => decode(victim.token.split('.')[1]);

/** Signed with ES256. */
function signed(key: KeyObject, fields: { header?: Fields; claims?: Fields } = {}): string {
  const content = `${encode({ ...header(), ...fields.header })}.${encode({ ...claims(), ...fields.claims })}`;
  return `${content}.${sign('sha256', Buffer.from(content), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
}

function hs256(secret: string | Buffer): string {
  const content = `${encode({ ...header(), alg: 'HS256' })}.${encode(claims())}`;
  return `${content}.${createHmac('sha256', secret).update(content).digest('base64url')}`;
}

function withAnotherRole(): string {
  const [head, body, signature] = arena.mallory.token.split('.');
  return [head, encode({ ...decode(body), role: 'admin' }), signature].join('.');
}

const own = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
const bearer = (token: string): Headers => ({ authorization: `Bearer ${token}` });
const seconds = (): number => Math.floor(Date.now() / 1000);

/** Of the gateway, of auth, and of a route for admins. */
async function outcomes(headers: Headers): Promise<string[]> {
  const paths = ['/messages', '/auth/me', '/auth/users'];
  return Promise.all(paths.map(async (path) => outcomeOf(await arena.send('GET', path, headers))));
}
const REFUSED = ['401 unauthenticated', '401 unauthenticated', '401 unauthenticated'];

describe('an access token', () => {
  it('that is made in the same way as the forged ones below, but is right, is accepted', async () => {
    expect(await outcomes(bearer(signed(arena.signingKey)))).toEqual(['200', '200', '200']);
  });

  const [head, tail] = [() => victim.token.split('.').slice(0, 2).join('.'), () => victim.token.split('.')[2] ?? ''];
  const publicKey = (): KeyObject => createPublicKey(arena.signingKey);
  const pem = (): string => publicKey().export({ type: 'spki', format: 'pem' }).toString();
  const forged: [string, () => string][] = [
    ['without signature and with alg none is refused', () => `${encode({ alg: 'none' })}.${encode(claims())}.`],
    [
      'with alg nOnE and the old signature is refused',
      () => `${encode({ alg: 'nOnE' })}.${encode(claims())}.${tail()}`,
    ],
    ['without its signature is refused', () => `${head()}.`],
    ['with a signature of zeros is refused', () => `${head()}.${Buffer.alloc(64).toString('base64url')}`],
    ['signed by HS256 with the public key as secret is refused', () => hs256(pem())],
    ['signed by HS256 with the published JWK as secret is refused', () => hs256(JSON.stringify(publicKey().export({ format: 'jwk' })))], // prettier-ignore
    ['signed by HS256 with an empty secret is refused', () => hs256('')],
    ['signed by another key under the known key id is refused', () => signed(own)],
    ['that brings its own key as jwk is refused', () => signed(own, { header: { jwk: createPublicKey(own).export({ format: 'jwk' }) } })], // prettier-ignore
    ['with an unknown key id is refused', () => signed(own, { header: { kid: keyIdOf(createPublicKey(own)) } })],
    ['with a path as key id is refused', () => signed(own, { header: { kid: '../../../../../../dev/null' } })],
    ['with SQL as key id is refused', () => signed(own, { header: { kid: "x' union select 'secret' --" } })],
    ['with __proto__ as key id is refused', () => signed(own, { header: { kid: '__proto__' } })],
    ['with a number as key id is refused', () => signed(own, { header: { kid: 0 } })],
    ['without a key id is refused', () => signed(arena.signingKey, { header: { kid: undefined } })],
    ['that has expired is refused', () => signed(arena.signingKey, { claims: { exp: seconds() - 2 } })],
    ['that never expires is refused', () => signed(arena.signingKey, { claims: { exp: undefined } })],
    ['of another issuer is refused', () => signed(arena.signingKey, { claims: { iss: 'https://evil.example' } })],
    ['for another audience is refused', () => signed(arena.signingKey, { claims: { aud: 'another-service' } })],
    ['with another role under the old signature is refused', withAnotherRole],
    ['with a role that does not exist is refused', () => signed(arena.signingKey, { claims: { role: 'root' } })],
    ['whose subject is not an account id is refused', () => signed(arena.signingKey, { claims: { sub: "' or 1=1 --" } })], // prettier-ignore
  ];
  it.each(forged)('%s', async (_name, token) => {
    expect(await outcomes(bearer(token()))).toEqual(REFUSED);
    expect(await outcomes({ cookie: `octo_token=${token()}` })).toEqual(REFUSED);
  });

  it('that names a key server does not make a pod ask that server', async () => {
    const server = await startReceiver((response) => response.end('{"keys":[]}'));
    const answers = await outcomes(bearer(signed(own, { header: { jku: server.url, x5u: server.url, kid: 'new' } })));
    await server.stop();
    expect([answers, server.connections()]).toEqual([REFUSED, 0]);
  });

  it('in the query string is not read', async () => {
    for (const name of ['octo_token', 'access_token', 'token']) {
      expect(outcomeOf(await arena.send('GET', `/auth/me?${name}=${victim.token}`))).toBe('401 unauthenticated');
      expect(outcomeOf(await arena.send('GET', `/messages?${name}=${victim.token}`))).toBe('401 unauthenticated');
    }
  });

  it('in the second of two cookies or Authorization headers does not count', async () => {
    const lines = ['GET /auth/users HTTP/1.1', `Authorization: Bearer ${arena.mallory.token}`];
    const headers = await rawRequest(arena.gateway, [...lines, `Authorization: Bearer ${victim.token}`]);
    const cookies = { cookie: `octo_token=${arena.mallory.token}; octo_token=${victim.token}` };
    expect(headers.status).toBe(403);
    expect(outcomeOf(await arena.send('GET', '/auth/users', cookies))).toBe('403 forbidden');
  });

  it('of 30 kB is refused before it is parsed', async () => {
    const { status } = await rawRequest(arena.gateway, ['GET /messages HTTP/1.1', `Authorization: Bearer ${'x'.repeat(30_000)}`]); // prettier-ignore
    expect(status).toBe(431);
  });
});

describe('a credential in the place of another', () => {
  it('a refresh token is not an access token', async () => {
    expect(await outcomes(bearer(victim.refreshToken))).toEqual(REFUSED);
  });

  it('an access token is not a refresh token', async () => {
    const headers = { cookie: `octo_refresh=${victim.token}` };
    expect(outcomeOf(await arena.send('POST', '/auth/refresh', headers))).toBe('401 unauthenticated');
  });

  it('an API key is not a refresh token', async () => {
    const key = victim.key['authorization']?.slice('Bearer '.length);
    const headers = { cookie: `octo_refresh=${key}` };
    expect(outcomeOf(await arena.send('POST', '/auth/refresh', headers))).toBe('401 unauthenticated');
  });

  it('a refresh token of another account gives no rights to the session that sends it', async () => {
    const [one, other] = [await newAccount(arena.gateway), await newAccount(arena.gateway)];
    const headers = { cookie: `octo_token=${one.token}; octo_refresh=${other.refreshToken}` };
    expect((await arena.send('POST', '/auth/refresh', headers)).body['id']).toBe(other.id);
    expect((await arena.send('GET', '/auth/me', one.bearer)).body['id']).toBe(one.id);
  });

  it('a refresh token after its logout is refused', async () => {
    const account = await newAccount(arena.gateway);
    expect((await arena.send('POST', '/auth/logout', account.cookies)).status).toBe(204);
    expect(outcomeOf(await arena.send('POST', '/auth/refresh', account.cookies))).toBe('401 unauthenticated');
  });

  it('cookies that were set before a login are replaced by it, so that a session cannot be fixed', async () => {
    const account = await newAccount(arena.gateway);
    const credentials = { email: account.email, password: 'octo-demo-password' };
    const login = await arena.send('POST', '/auth/login', arena.mallory.cookies, credentials);
    const set = login.headers.getSetCookie().join('\n');
    expect(set).toContain('octo_refresh=');
    expect(set).not.toContain(arena.mallory.refreshToken);
    expect(set).not.toContain(arena.mallory.token);
  });

  it('an API key that was guessed is refused, whatever follows its prefix', async () => {
    for (const key of ['octo_', `octo_${'0'.repeat(49)}`, `octo_${randomUUID()}`, "octo_' or '1'='1"]) {
      expect(await outcomes(bearer(key))).toEqual(REFUSED);
    }
  });
});
