import { z } from 'zod';

/** Settings of every app that takes access tokens; auth and the others must agree on the first two. */
export const accessTokenSettings = {
  JWT_ISSUER: z.string().default('octo'),
  JWT_AUDIENCE: z.string().default('octo'),
  /** May a token be accepted when nobody can say whether it was revoked? Tokens end after 15 minutes anyway. */
  REVOCATION_WHEN_REDIS_DOWN: z.enum(['accept', 'refuse']).default('accept'),
};
