import { REVOCATION_TTL_MS } from './claims.js';

/** About 10 MB. */
const CAPACITY = 100_000;

/** Revoked ids that this process knows: it refuses them whatever Redis or Postgres answer. */
export class HeardRevocations {
  /** Time of the last revocation of each id, in milliseconds of `performance.now()`, oldest first. */
  private readonly heardAtMs = new Map<string, number>();

  constructor(private readonly capacity = CAPACITY) {}

  add(ids: readonly string[]): void {
    const nowMs = performance.now();
    for (const id of ids) {
      this.heardAtMs.delete(id);
      this.heardAtMs.set(id, nowMs);
    }
    this.forgetOld(nowMs);
  }

  has(id: string): boolean {
    return this.heardAtMs.has(id);
  }

  hasSince(id: string, sinceMs: number): boolean {
    return (this.heardAtMs.get(id) ?? Number.NEGATIVE_INFINITY) >= sinceMs;
  }

  private forgetOld(nowMs: number): void {
    for (const [id, heardAtMs] of this.heardAtMs) {
      if (this.heardAtMs.size <= this.capacity && nowMs - heardAtMs < REVOCATION_TTL_MS) return;
      this.heardAtMs.delete(id);
    }
  }
}
