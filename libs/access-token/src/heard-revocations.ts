import { ACCESS_TOKEN_TTL_MS, CLOCK_TOLERANCE_MS } from './claims.js';

/** Every access token that was signed before the revocation has expired by then; one second more, for one signed now. */
const REMEMBER_MS = ACCESS_TOKEN_TTL_MS + CLOCK_TOLERANCE_MS + 1_000;
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
      if (this.heardAtMs.size <= this.capacity && nowMs - heardAtMs < REMEMBER_MS) return;
      this.heardAtMs.delete(id);
    }
  }
}
