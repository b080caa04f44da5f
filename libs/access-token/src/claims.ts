import { z } from 'zod';
import { roleSchema } from '#contracts';

/** Cookie with the access token; for every path. */
export const TOKEN_COOKIE = 'octo_token';
/** Cookie with the refresh token; sent to the auth app only. */
export const REFRESH_COOKIE = 'octo_refresh';
export const ACCESS_TOKEN_TTL_MS = 900_000;
/** Clocks of pods may differ by this much: an access token is accepted until `exp` plus this. */
export const CLOCK_TOLERANCE_MS = 1_000;
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

/** The account and session behind a request. */
export interface Caller {
  accountId: string;
  paidAccess: boolean;
  role: Claims['role'];
  sessionId: string;
  tokenId: string;
  expiresAt: Date;
}

export function callerOf(claims: Claims): Caller {
  return {
    accountId: claims.sub,
    paidAccess: claims.paidAccess,
    role: claims.role,
    sessionId: claims.sid,
    tokenId: claims.jti,
    expiresAt: new Date(claims.exp * 1000),
  };
}
