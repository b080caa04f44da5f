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
  /** By session: what a revocation ends. */
  private readonly tokensOf = new Map<string, Set<string>>();
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
