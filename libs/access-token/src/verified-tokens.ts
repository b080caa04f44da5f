import type { Caller } from './claims.js';

interface Entry {
  caller: Caller;
  until: number;
}

/**
 * Tokens that were verified, so that a signature is checked once and not for every request. Bounded: when full, the
 * oldest entry goes. Only good tokens are remembered, so bad ones cannot push anybody out.
 */
export class VerifiedTokens {
  /** By the whole token: whoever holds these bytes went through verification before. */
  private readonly entries = new Map<string, Entry>();
  private changes = 0;

  constructor(private readonly capacity: number) {}

  get size(): number {
    return this.entries.size;
  }

  /**
   * Changes with every revocation. A verification that began at another revision may rest on an answer that is
   * outdated by now, and must not be remembered.
   */
  get revision(): number {
    return this.changes;
  }

  get(token: string, now: number): Caller | undefined {
    const entry = this.entries.get(token);
    if (entry === undefined) return undefined;
    if (now < entry.until) return entry.caller;
    this.entries.delete(token);
    return undefined;
  }

  /** @param until Unix time in milliseconds from which the token must be verified again */
  remember(token: string, caller: Caller, until: number): void {
    this.entries.delete(token);
    if (this.entries.size >= this.capacity) this.dropOldest();
    this.entries.set(token, { caller, until });
  }

  /** Walks all entries, some 100 µs when full: revocations are rare, requests are not. */
  drop(sessionIds: readonly string[]): void {
    this.changes += 1;
    const revoked = new Set(sessionIds);
    for (const [token, { caller }] of this.entries) if (revoked.has(caller.sessionId)) this.entries.delete(token);
  }

  dropAll(): void {
    this.changes += 1;
    this.entries.clear();
  }

  private dropOldest(): void {
    for (const oldest of this.entries.keys()) {
      this.entries.delete(oldest);
      return;
    }
  }
}
