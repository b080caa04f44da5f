import { hashOfApiKey, isWellFormedApiKey } from './api-key.js';
import type { Verification } from './access-token.verifier.js';
import type { Caller } from './claims.js';
import type { Revocations } from './revocations.js';
import type { StoredAccess, StoredApiKey } from './stored-access.js';

/** How long an unknown key is refused without a query. A key that is created meanwhile is another one. */
const UNKNOWN_MS = 10_000;
const UNKNOWN_MAX = 10_000;
/** Lookups of a key that changes during each of them. */
const TRIES = 3;

const INVALID: Verification = { outcome: 'refused', reason: 'invalid' };
const UNDECIDED: Verification = { outcome: 'undecided', reason: 'keys' };

/** Finds the caller of an API key, with the rights that its account has now. Remembers unknown keys only. */
export class ApiKeys {
  /** Hashes of unknown keys, and until when to refuse them, in milliseconds of `performance.now()`; oldest first. */
  private readonly unknown = new Map<string, number>();

  constructor(
    private readonly stored: Pick<StoredAccess, 'findKey'>,
    private readonly revocations: Pick<Revocations, 'hasHeardSince'>,
  ) {}

  async verify(key: string): Promise<Verification> {
    if (!isWellFormedApiKey(key)) return INVALID;
    const hash = hashOfApiKey(key);
    if (performance.now() < (this.unknown.get(hash) ?? 0)) return INVALID;
    try {
      return await this.lookUp(hash, TRIES);
    } catch {
      // Postgres is down, which the database module logs.
      return UNDECIDED;
    }
  }

  private async lookUp(hash: string, triesLeft: number): Promise<Verification> {
    if (triesLeft === 0) return UNDECIDED;
    const startedMs = performance.now();
    const stored = await this.stored.findKey(hash);
    if (stored === undefined) {
      this.rememberUnknown(hash);
      return INVALID;
    }
    // Changed during the lookup: the answer may be older than the change.
    if (this.revocations.hasHeardSince(stored.id, startedMs)) return this.lookUp(hash, triesLeft - 1);
    return verificationOf(stored);
  }

  private rememberUnknown(hash: string): void {
    this.unknown.delete(hash);
    if (this.unknown.size >= UNKNOWN_MAX) {
      const [oldest] = this.unknown.keys();
      if (oldest !== undefined) this.unknown.delete(oldest);
    }
    this.unknown.set(hash, performance.now() + UNKNOWN_MS);
  }
}

function verificationOf(stored: StoredApiKey): Verification {
  if (stored.isDisabled) return { outcome: 'refused', reason: 'revoked' };
  if (stored.expiresAt !== null && stored.expiresAt.getTime() <= Date.now()) {
    return { outcome: 'refused', reason: 'expired' };
  }
  return { outcome: 'valid', caller: callerOf(stored) };
}

/** A key never has admin rights: it is long-lived, and no person confirms what it does. */
function callerOf({ id, accountId, paidAccess, expiresAt }: StoredApiKey): Caller {
  return { accountId, paidAccess, role: 'user', credential: 'key', sessionId: id, tokenId: id, expiresAt };
}
