import { z } from 'zod';
import { roleSchema } from '#contracts';

/** Cookie with the access token; for every path. */
export const TOKEN_COOKIE = 'octo_token';
/** Cookie with the refresh token; sent to the auth app only. */
export const REFRESH_COOKIE = 'octo_refresh';
export const ACCESS_TOKEN_TTL_MS = 900_000;
/** Clocks of pods may differ by this much: an access token is accepted until `exp` plus this. */
export const CLOCK_TOLERANCE_MS = 1_000;
/** Every access token that was signed before a revocation has expired by then; one second more, for one signed now. */
export const REVOCATION_TTL_MS = ACCESS_TOKEN_TTL_MS + CLOCK_TOLERANCE_MS + 1_000;
export const ALGORITHM = 'ES256';

/** Claims of an access token (RFC 7519). */
export const claimsSchema = z.object({
  iss: z.string(),
  aud: z.string(),
  /** Id of the account. */
  sub: z.uuid(),
  exp: z.int(),
  iat: z.int(),
  jti: z.string().min(1),
  /** Names the session in revocations: all access tokens of one login share it. */
  sid: z.uuid(),
  paidAccess: z.boolean(),
  role: roleSchema,
});
export type Claims = z.infer<typeof claimsSchema>;

/** The account behind a request, and the session or API key that proves it. */
export interface Caller {
  accountId: string;
  paidAccess: boolean;
  role: Claims['role'];
  credential: 'session' | 'key';
  /** The `sid` of the access token, or the id of the API key: the name in revocations. */
  sessionId: string;
  tokenId: string;
  /** Null for an API key that does not expire. */
  expiresAt: Date | null;
}

export function callerOf(claims: Claims): Caller & { expiresAt: Date } {
  return {
    accountId: claims.sub,
    paidAccess: claims.paidAccess,
    role: claims.role,
    credential: 'session',
    sessionId: claims.sid,
    tokenId: claims.jti,
    expiresAt: new Date(claims.exp * 1000),
  };
}
