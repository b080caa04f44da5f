import { createHash, randomBytes } from 'node:crypto';

/** How long a session lasts without being refreshed. */
export const REFRESH_TOKEN_TTL_MS = 30 * 86_400_000;

/** 256 random bits: nothing to guess, so a plain hash is enough to store it by. */
export function createRefreshToken(): { token: string; hash: string } {
  const token = randomBytes(32).toString('base64url');
  return { token, hash: hashOf(token) };
}

export function hashOf(refreshToken: string): string {
  return createHash('sha256').update(refreshToken).digest('base64url');
}
