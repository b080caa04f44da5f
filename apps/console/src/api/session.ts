import { signal } from '@preact/signals';
import type { Credentials, CurrentAccount, Login } from '#contracts';
import { renewTokensWith, request } from './client.js';
import { ApiError } from './problem.js';

/** Cookies hold the tokens, and scripts cannot read them: this says whether there are any, and until when. */
const EXPIRY_KEY = 'octo.session.expiresAt';
/** A token is renewed this long before it expires. */
const RENEW_AHEAD_MS = 60_000;

/** Undefined: not logged in. */
export const session = signal<CurrentAccount | undefined>();

renewTokensWith(async ({ isRefused }) => {
  const expiresAt = localStorage.getItem(EXPIRY_KEY);
  if (expiresAt === null) return false;
  if (!isRefused && Date.parse(expiresAt) - Date.now() > RENEW_AHEAD_MS) return true;
  return refresh();
});

/** Takes up the session of an earlier visit, if there is one. @throws ApiError when that cannot be found out */
export async function resume(): Promise<void> {
  const expiresAt = localStorage.getItem(EXPIRY_KEY);
  if (expiresAt === null) return;
  if (Date.parse(expiresAt) - Date.now() < RENEW_AHEAD_MS) {
    await refresh();
    return;
  }
  try {
    session.value = await request<CurrentAccount>('/auth/me');
  } catch (error) {
    if (!(error instanceof ApiError) || error.status !== 401) throw error;
    await refresh();
  }
}

/** @throws ApiError */
export async function logIn(credentials: Credentials): Promise<void> {
  begin(await request<Login>('/auth/login', { method: 'POST', body: credentials }));
}

export async function logOut(): Promise<void> {
  // The cookies may have expired: the session is over either way.
  await request('/auth/logout', { method: 'POST' }).catch(() => undefined);
  end();
}

/** A valid token for a request that is not made by `api`, such as an event stream. */
export async function ensureToken(): Promise<boolean> {
  const expiresAt = localStorage.getItem(EXPIRY_KEY);
  if (expiresAt === null) return false;
  return Date.parse(expiresAt) - Date.now() > RENEW_AHEAD_MS || refresh();
}

let refreshing: Promise<boolean> | undefined;

/** @returns whether there is a session. One request for all callers; auth allows two tabs to refresh at once. */
export function refresh(): Promise<boolean> {
  refreshing ??= refreshOnce().finally(() => (refreshing = undefined));
  return refreshing;
}

async function refreshOnce(): Promise<boolean> {
  try {
    begin(await request<Login>('/auth/refresh', { method: 'POST' }));
    return true;
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) end();
    // Auth may be down for a moment: the session is not over.
    return false;
  }
}

function begin(login: Login): void {
  localStorage.setItem(EXPIRY_KEY, login.expiresAt);
  session.value = login;
}

function end(): void {
  localStorage.removeItem(EXPIRY_KEY);
  session.value = undefined;
}
