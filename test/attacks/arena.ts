import { generateKeyPairSync, type KeyObject, randomUUID } from 'node:crypto';
import { DEMO_PASSWORD } from '../../tools/stack/log-in.js';
import { type Answer, call } from '../support/client.js';
import { type Stack, startStack } from '../support/stack.js';
import type { Problem } from '#contracts';

export type Headers = Record<string, string>;
/** Fields of every answer that the attacks look at. */
export type AnyBody = Partial<Problem> & { [field: string]: unknown };

/** An account with one session and one API key. */
export interface Account {
  id: string;
  email: string;
  /** The access token, and headers that carry it, both cookies, or the API key. */
  token: string;
  bearer: Headers;
  cookies: Headers;
  refreshToken: string;
  key: Headers;
  keyId: string;
}

/** A running stack with two users that attack each other, an admin, and the key that signs its tokens. */
export interface Arena {
  stack: Stack;
  gateway: string;
  alice: Account;
  mallory: Account;
  admin: Account;
  signingKey: KeyObject;
  send: (method: string, path: string, headers?: Headers, body?: unknown) => Promise<Answer<AnyBody>>;
  stop: () => Promise<void>;
}

/** Mallory has no paid access, as every new account. */
export async function startArena(env: Record<string, string> = {}): Promise<Arena> {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const JWT_PRIVATE_KEY = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  const stack = await startStack({ env: { JWT_PRIVATE_KEY, FREE_LIMIT: '1000', ...env } });
  const { gateway } = stack.origin;
  const [alice, mallory] = [await newAccount(gateway), await newAccount(gateway)];
  const admin = await accountOf(gateway, 'admin@octo.local');
  const send: Arena['send'] = (method, path, headers, body) => sendTo(gateway, { method, path, headers, body });
  return { stack, gateway, alice, mallory, admin, signingKey: privateKey, send, stop: () => stack.stop() };
}

/** @param body text is sent as it is, anything else as JSON */
export function sendTo(
  origin: string,
  { method, path, headers = {}, body }: { method: string; path: string; headers?: Headers | undefined; body?: unknown },
): Promise<Answer<AnyBody>> {
  const type: Headers = body === undefined ? {} : { 'content-type': 'application/json' };
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  const init = { method, headers: { ...type, ...headers }, redirect: 'manual' as const };
  return call(`${origin}${path}`, body === undefined ? init : { ...init, body: text });
}

/** Registers an account under a new e-mail address. */
export async function newAccount(gateway: string): Promise<Account> {
  const email = `${randomUUID()}@example.com`;
  const body = { email, password: DEMO_PASSWORD };
  const { status } = await sendTo(gateway, { method: 'POST', path: '/auth/register', body });
  if (status !== 201) throw new Error(`register answered ${status}`);
  return accountOf(gateway, email);
}

async function accountOf(gateway: string, email: string): Promise<Account> {
  const credentials = { email, password: DEMO_PASSWORD };
  const login = await sendTo(gateway, { method: 'POST', path: '/auth/login', body: credentials });
  if (login.status !== 200) throw new Error(`login answered ${login.status}`);
  const cookies = login.headers.getSetCookie().map((cookie) => cookie.split(';', 1)[0] ?? '');
  const valueOf = (name: string): string => cookies.find((pair) => pair.startsWith(`${name}=`))?.split('=')[1] ?? '';
  const token = valueOf('octo_token');
  const bearer = { authorization: `Bearer ${token}` };
  const key = await sendTo(gateway, { method: 'POST', path: '/auth/keys', headers: bearer, body: { name: 'test' } });
  return {
    id: String(login.body['id']),
    email,
    token,
    bearer,
    cookies: { cookie: cookies.join('; ') },
    refreshToken: valueOf('octo_refresh'),
    key: { authorization: `Bearer ${String(key.body['key'])}` },
    keyId: String(key.body['id']),
  };
}

/** Status and code of a problem, such as `401 unauthenticated`; of any other answer the status. */
export function outcomeOf({ status, body }: Answer<AnyBody>): string {
  return body?.code === undefined ? String(status) : `${status} ${body.code}`;
}
