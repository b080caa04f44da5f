/** A provider that accepts `limit` requests and then refuses everybody for `blockMs`: the judge of every model run. */
export class SimulatedProvider {
  /** One entry per request, in order of arrival. */
  readonly log: { atMs: number; accepted: boolean }[] = [];
  /** By the true clock; 0 while open. */
  blockedUntilMs = 0;
  private accepted = 0;

  constructor(
    private readonly options: {
      limit: number;
      blockMs: number;
      /** How much longer a second of the provider's clock is than a true one; quartz stays within ±1e-4. */
      drift: number;
    },
  ) {}

  get refusals(): number {
    return this.log.filter(({ accepted }) => !accepted).length;
  }

  get acceptedInWindow(): number {
    return this.accepted;
  }

  /** Decides at arrival, as the real one does. */
  decide(nowMs: number): { accepted: true } | { accepted: false; retryAfterMs: number } {
    if (this.blockedUntilMs > 0 && nowMs >= this.blockedUntilMs) {
      this.blockedUntilMs = 0;
      this.accepted = 0;
    }
    const accepted = this.blockedUntilMs === 0;
    this.log.push({ atMs: nowMs, accepted });
    if (!accepted) return { accepted, retryAfterMs: this.blockedUntilMs - nowMs };
    this.accepted += 1;
    if (this.accepted === this.options.limit) {
      this.blockedUntilMs = nowMs + Math.ceil(this.options.blockMs * (1 + this.options.drift));
    }
    return { accepted };
  }
}
