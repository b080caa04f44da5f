import { stringifySetCookie } from 'cookie';
import type { FastifyReply } from 'fastify';
import { ACCESS_TOKEN_TTL_MS, REFRESH_COOKIE, TOKEN_COOKIE } from '#access-token';
import { KNOWN_DEVICE_TTL_MS } from './known-devices.js';
import { REFRESH_TOKEN_TTL_MS } from './refresh-tokens.js';

/** Cookie of a device that has logged in before; outlives the session. */
export const DEVICE_COOKIE = 'octo_device';

const LOCAL_HOSTS = new Set(['localhost', '127.0.0.1', '[::1]']);

/** The cookies of a session. `Secure`, unless the public origin is plain HTTP on localhost. */
export class SessionCookies {
  private readonly secure: boolean;

  constructor(publicOrigin: string) {
    const { protocol, hostname } = new URL(publicOrigin);
    this.secure = protocol === 'https:' || !LOCAL_HOSTS.has(hostname);
  }

  /** @param deviceCookie of a login: marks the device as known */
  set(
    reply: FastifyReply,
    { accessToken, refreshToken }: { accessToken: string; refreshToken: string },
    deviceCookie?: string,
  ): void {
    reply.header('set-cookie', [
      this.accessCookie(accessToken, ACCESS_TOKEN_TTL_MS),
      this.refreshCookie(refreshToken, REFRESH_TOKEN_TTL_MS),
      ...(deviceCookie === undefined ? [] : [this.strictCookie(DEVICE_COOKIE, deviceCookie, KNOWN_DEVICE_TTL_MS)]),
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
    return this.strictCookie(REFRESH_COOKIE, value, ttlMs);
  }

  /** Sent to the auth app only, and never from another site. */
  private strictCookie(name: string, value: string, ttlMs: number): string {
    const lasting = { path: '/auth', maxAge: ttlMs / 1000, secure: this.secure };
    return stringifySetCookie({ name, value, httpOnly: true, sameSite: 'strict', ...lasting });
  }
}
