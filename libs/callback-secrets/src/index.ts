export { accountKey, SECRET_OVERLAP_MS } from './account-key.js';
export { secretOf, signingSecrets } from './signing-secrets.js';
