import type { AcceptedRequest } from '#contracts';

/** Which requests were accepted, by their idempotency keys, oldest first; beyond the limit the oldest are forgotten. */
export class AcceptanceLog {
  private accepted: AcceptedRequest[] = [];

  constructor(private readonly maxRequests: number) {}

  /** `nowMs` is in milliseconds since 1970. A key may come twice: the answer to it was forgotten, and it counted again. */
  add({ key, nowMs }: { key: string; nowMs: number }): void {
    this.accepted.push({ key, acceptedAt: new Date(nowMs).toISOString() });
    if (this.accepted.length > 2 * this.maxRequests) this.accepted = this.latest();
  }

  latest(): AcceptedRequest[] {
    return this.accepted.slice(-this.maxRequests);
  }

  reset(): void {
    this.accepted = [];
  }
}
