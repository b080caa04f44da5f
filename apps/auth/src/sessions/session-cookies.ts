import { stringifySetCookie } from 'cookie';
import type { FastifyReply } from 'fastify';
import { ACCESS_TOKEN_TTL_MS, REFRESH_COOKIE, TOKEN_COOKIE } from '#access-token';
import { REFRESH_TOKEN_TTL_MS } from './refresh-tokens.js';

const LOCAL_HOSTS = new Set(['localhost', '127.0.0.1', '[::1]']);

/** The cookies of a session. `Secure`, unless the public origin is plain HTTP on localhost. */
export class SessionCookies {
  private readonly secure: boolean;

  constructor(publicOrigin: string) {
    const { protocol, hostname } = new URL(publicOrigin);
    this.secure = protocol === 'https:' || !LOCAL_HOSTS.has(hostname);
  }

  set(reply: FastifyReply, { accessToken, refreshToken }: { accessToken: string; refreshToken: string }): void {
    reply.header('set-cookie', [
      this.accessCookie(accessToken, ACCESS_TOKEN_TTL_MS),
      this.refreshCookie(refreshToken, REFRESH_TOKEN_TTL_MS),
    ]);
  }

  clear(reply: FastifyReply): void {
    reply.header('set-cookie', [this.accessCookie('', 0), this.refreshCookie('', 0)]);
  }

  private accessCookie(value: string, ttlMs: number): string {
    const lasting = { path: '/', maxAge: ttlMs / 1000, secure: this.secure };
    return stringifySetCookie({ name: TOKEN_COOKIE, value, httpOnly: true, sameSite: 'lax', ...lasting });
  }

  private refreshCookie(value: string, ttlMs: number): string {
    const lasting = { path: '/auth', maxAge: ttlMs / 1000, secure: this.secure };
    return stringifySetCookie({ name: REFRESH_COOKIE, value, httpOnly: true, sameSite: 'strict', ...lasting });
  }
}
