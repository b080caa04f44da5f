import { stringifySetCookie } from 'cookie';
import type { FastifyReply } from 'fastify';
import { accessTokenCookie, isSecureOrigin, REFRESH_COOKIE } from '#access-token';
import { KNOWN_DEVICE_TTL_MS } from './known-devices.js';
import { REFRESH_TOKEN_TTL_MS } from './refresh-tokens.js';

/** Cookie of a device that has logged in before; outlives the session. */
export const DEVICE_COOKIE = 'octo_device';

/** The cookies of a session. `Secure`, unless the public origin is plain HTTP on localhost. */
export class SessionCookies {
  private readonly secure: boolean;

  constructor(publicOrigin: string) {
    this.secure = isSecureOrigin(publicOrigin);
  }

  /** @param deviceCookie of a login: marks the device as known */
  set(
    reply: FastifyReply,
    { accessToken, refreshToken }: { accessToken: string; refreshToken: string },
    deviceCookie?: string,
  ): void {
    reply.header('set-cookie', [
      accessTokenCookie(accessToken, { secure: this.secure }),
      this.refreshCookie(refreshToken, REFRESH_TOKEN_TTL_MS),
      ...(deviceCookie === undefined ? [] : [this.strictCookie(DEVICE_COOKIE, deviceCookie, KNOWN_DEVICE_TTL_MS)]),
    ]);
  }

  clear(reply: FastifyReply): void {
    reply.header('set-cookie', [accessTokenCookie('', { ttlMs: 0, secure: this.secure }), this.refreshCookie('', 0)]);
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
