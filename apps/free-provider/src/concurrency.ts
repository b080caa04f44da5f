import type { ProviderStats } from '#contracts';
import type { Decision } from '#reference-provider';
import type { Limit } from './limit.js';
import { WindowLog } from './window-log.js';

/** A free slot cannot be foreseen. */
const RETRY_AFTER_MS = 100;

/** Accepts while fewer than `limit` requests are in flight: accepted, and not answered yet. */
export class Concurrency implements Limit {
  private readonly log = new WindowLog();
  private inFlight = 0;

  constructor(private readonly options: { limit: number }) {}

  accepts(): boolean {
    return this.inFlight < this.options.limit;
  }

  decide(nowMs: number): Decision {
    if (!this.accepts()) {
      this.log.refuse();
      return { accepted: false, retryAfterMs: RETRY_AFTER_MS };
    }
    this.log.accept(nowMs);
    this.inFlight += 1;
    return { accepted: true };
  }

  release(): void {
    this.inFlight -= 1;
  }

  headers(): Record<string, string> {
    return {};
  }

  stats(): ProviderStats {
    return this.log.stats();
  }

  resetStats(): void {
    this.log.reset();
  }
}
