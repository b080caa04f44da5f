export { AccessTokenGuard, CurrentCaller, Roles } from './access-token.guard.js';
export { AccessTokenModule, accessTokenSettings, type VerifyingOptions } from './access-token.module.js';
export { hashOfApiKey, newApiKey, prefixOfApiKey } from './api-key.js';
export { AccessTokenSigner, type SignedToken } from './access-token.signer.js';
export { AccessTokenVerifier, type KeySource, type Verification } from './access-token.verifier.js';
export { BatchedLookup, LookupFailed } from './batched-lookup.js';
export {
  ACCESS_TOKEN_TTL_MS,
  type Caller,
  type Claims,
  CLOCK_TOLERANCE_MS,
  REFRESH_COOKIE,
  REVOCATION_TTL_MS,
  TOKEN_COOKIE,
} from './claims.js';
export { withinLoopTime } from './loop-time.js';
export { jwkSetOf, keyIdOf, type PublicKeys, publicKeysOf } from './jwk.js';
export { readAccessToken, readCookie } from './read-token.js';
export { RemoteKeys } from './remote-keys.js';
export { loadSigningKeys, signingKeySettings } from './signing-keys.js';
export { StoredAccess } from './stored-access.js';
export { EFFECTIVE_AFTER_MS, type RevocationListener, Revocations } from './revocations.js';
export { accessTokenCookie, isSecureOrigin } from './token-cookie.js';
