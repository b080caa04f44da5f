import type { ProviderStats } from '#contracts';
import type { Admission, Decision } from '#reference-provider';
import type { Limit } from './limit.js';

/** Accepts what all limits accept. What one of them refuses, the others do not count. */
export class AllOf implements Admission {
  private refused = 0;

  /** @param limits the windows of the last one are those of the stats */
  constructor(private readonly limits: readonly Limit[]) {}

  decide(nowMs: number, tokens?: number): Decision {
    const refusing = this.limits.filter((limit) => !limit.accepts(nowMs));
    const decisions = (refusing.length > 0 ? refusing : this.limits).map((limit) => limit.decide(nowMs, tokens));
    const waits = decisions.flatMap((decision) => (decision.accepted ? [] : [decision.retryAfterMs]));
    if (waits.length === 0) return { accepted: true };
    this.refused += 1;
    return { accepted: false, retryAfterMs: Math.max(...waits) };
  }

  release(): void {
    for (const limit of this.limits) limit.release?.();
  }

  /** As lists (RFC 9110, 5.6.1). */
  headers(nowMs: number): Record<string, string> {
    const joined: Record<string, string> = {};
    for (const limit of this.limits) {
      for (const [name, value] of Object.entries(limit.headers(nowMs))) {
        joined[name] = joined[name] === undefined ? value : `${joined[name]}, ${value}`;
      }
    }
    return joined;
  }

  stats(): ProviderStats {
    const { accepted = 0, windows = [] } = this.limits.at(-1)?.stats() ?? {};
    return { accepted, refused: this.refused, windows };
  }

  resetStats(): void {
    this.refused = 0;
    for (const limit of this.limits) limit.resetStats();
  }
}
