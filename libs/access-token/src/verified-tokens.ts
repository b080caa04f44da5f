import type { Caller } from './claims.js';

interface Entry {
  caller: Caller;
  until: number;
}

/**
 * Cache of verified tokens: a signature is checked once, not for each request. When it is full, it evicts the oldest
 * entry. It holds valid tokens only, so that invalid ones cannot evict any.
 */
export class VerifiedTokens {
  /** By the whole token, so that a hit proves that exactly these bytes were verified. */
  private readonly entries = new Map<string, Entry>();
  /** By session, which a revocation names. */
  private readonly tokensOf = new Map<string, Set<string>>();
  private changes = 0;

  constructor(private readonly capacity: number) {}

  get size(): number {
    return this.entries.size;
  }

  /**
   * Changes with every revocation. A verification that started at another revision may rest on an outdated state: do not
   * cache its result.
   */
  get revision(): number {
    return this.changes;
  }

  get(token: string, now: number): Caller | undefined {
    const entry = this.entries.get(token);
    if (entry === undefined) return undefined;
    if (now < entry.until) return entry.caller;
    this.forget(token);
    return undefined;
  }

  /** @param until Unix time in milliseconds from which the token must be verified again */
  remember(token: string, caller: Caller, until: number): void {
    this.forget(token);
    if (this.entries.size >= this.capacity) this.dropOldest();
    this.entries.set(token, { caller, until });
    const tokens = this.tokensOf.get(caller.sessionId);
    if (tokens === undefined) this.tokensOf.set(caller.sessionId, new Set([token]));
    else tokens.add(token);
  }

  drop(sessionIds: readonly string[]): void {
    this.changes += 1;
    const tokens = sessionIds.flatMap((sessionId) => [...(this.tokensOf.get(sessionId) ?? [])]);
    for (const token of tokens) this.forget(token);
  }

  dropAll(): void {
    this.changes += 1;
    this.entries.clear();
    this.tokensOf.clear();
  }

  private forget(token: string): void {
    const sessionId = this.entries.get(token)?.caller.sessionId;
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
