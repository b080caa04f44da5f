import type { Caller } from './claims.js';

/** The verification of a token that is valid unless it was revoked. */
export interface Verified {
  outcome: 'valid';
  caller: Caller;
}

interface Entry {
  verified: Verified;
  until: number;
  /** The revision in which the token was known not to be revoked. */
  confirmedIn: number;
}

const UNCONFIRMED = -1;

/**
 * Cache of verified tokens: a signature is checked once, not for each request. A confirmed entry is known not to be
 * revoked; a revocation unconfirms entries but keeps them, so that the next request with the token needs no signature
 * check. When the cache is full, it evicts the oldest entry. It holds genuine tokens only, so that others cannot evict
 * any.
 */
export class VerifiedTokens {
  /** By the whole token, so that a hit proves that exactly these bytes were verified. */
  private readonly entries = new Map<string, Entry>();
  /** By session or API key, which a revocation names. */
  private readonly tokensOf = new Map<string, Set<string>>();
  /** Entries that were confirmed in an earlier epoch count as unconfirmed. */
  private epoch = 0;
  private changes = 0;

  constructor(private readonly capacity: number) {}

  get size(): number {
    return this.entries.size;
  }

  /**
   * Changes with every revocation. A verification that started at another revision may rest on an outdated state: do not
   * confirm its result.
   */
  get revision(): number {
    return this.changes;
  }

  /** A token that is known not to be revoked. */
  confirmed(token: string, now: number): Verified | undefined {
    const entry = this.entries.get(token);
    return entry !== undefined && entry.confirmedIn === this.epoch && now < entry.until ? entry.verified : undefined;
  }

  /** A token that may have been revoked. */
  known(token: string, now: number): Verified | undefined {
    const entry = this.entries.get(token);
    if (entry === undefined) return undefined;
    if (now < entry.until) return entry.verified;
    this.forget(token);
    return undefined;
  }

  /** @param until Unix time in milliseconds from which the token must be verified again */
  remember(token: string, verified: Verified, until: number): void {
    this.forget(token);
    if (this.entries.size >= this.capacity) this.dropOldest();
    this.entries.set(token, { verified, until, confirmedIn: UNCONFIRMED });
    const { sessionId } = verified.caller;
    const tokens = this.tokensOf.get(sessionId);
    if (tokens === undefined) this.tokensOf.set(sessionId, new Set([token]));
    else tokens.add(token);
  }

  /** @param revision at the start of the verification. Does nothing after a revocation since then. */
  confirm(token: string, revision: number): void {
    const entry = this.entries.get(token);
    if (entry !== undefined && revision === this.changes) entry.confirmedIn = this.epoch;
  }

  unconfirm(sessionIds: readonly string[]): void {
    this.changes += 1;
    for (const sessionId of sessionIds) {
      for (const token of this.tokensOf.get(sessionId) ?? []) {
        const entry = this.entries.get(token);
        if (entry !== undefined) entry.confirmedIn = UNCONFIRMED;
      }
    }
  }

  unconfirmAll(): void {
    this.changes += 1;
    this.epoch += 1;
  }

  private forget(token: string): void {
    const sessionId = this.entries.get(token)?.verified.caller.sessionId;
    if (sessionId === undefined) return;
    this.entries.delete(token);
    const tokens = this.tokensOf.get(sessionId);
    tokens?.delete(token);
    if (tokens?.size === 0) this.tokensOf.delete(sessionId);
  }

  private dropOldest(): void {
    for (const oldest of this.entries.keys()) {
      this.forget(oldest);
      return;
    }
  }
}
