import { stringifySetCookie } from 'cookie';
import { ACCESS_TOKEN_TTL_MS, TOKEN_COOKIE } from './claims.js';

const LOCAL_HOSTS = new Set(['localhost', '127.0.0.1', '[::1]']);

/** Whether cookies of this origin are `Secure`: all but those of plain HTTP on localhost. */
export function isSecureOrigin(publicOrigin: string): boolean {
  const { protocol, hostname } = new URL(publicOrigin);
  return protocol === 'https:' || !LOCAL_HOSTS.has(hostname);
}

/**
 * The value of `Set-Cookie` for an access token. Scripts cannot read it, and requests that another site makes its
 * visitors send do not carry it, except links.
 */
export function accessTokenCookie(
  token: string,
  { ttlMs = ACCESS_TOKEN_TTL_MS, secure }: { ttlMs?: number; secure: boolean },
): string {
  const lasting = { path: '/', maxAge: ttlMs / 1000, secure };
  return stringifySetCookie({ name: TOKEN_COOKIE, value: token, httpOnly: true, sameSite: 'lax', ...lasting });
}
