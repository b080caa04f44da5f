import type { Decision } from '#reference-provider';
import type { Limit } from './limit.js';
import { Logged } from './logged.js';

/** A free slot cannot be foreseen. */
const RETRY_AFTER_MS = 100;

/** Accepts while fewer than `limit` requests are in flight: accepted, and not answered yet. */
export class Concurrency extends Logged implements Limit {
  private inFlight = 0;

  constructor(private readonly options: { limit: number }) {
    super();
  }

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
}
