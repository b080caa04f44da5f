/** Accepts `limit` requests in any `periodMs`. It counts by itself, with no code of the workers. */
export class RequestLimit {
  readonly stats = { accepted: 0, refused: 0 };
  private readonly acceptedAtMs: number[] = [];

  constructor(readonly options: { limit: number; periodMs: number }) {}

  /** @returns 0 if the request is accepted, otherwise how long to wait, in milliseconds */
  take(nowMs: number): number {
    const { limit, periodMs } = this.options;
    while ((this.acceptedAtMs[0] ?? nowMs) <= nowMs - periodMs) this.acceptedAtMs.shift();
    const isAccepted = this.acceptedAtMs.length < limit;
    this.stats[isAccepted ? 'accepted' : 'refused'] += 1;
    if (!isAccepted) return (this.acceptedAtMs[0] ?? nowMs) + periodMs - nowMs;
    this.acceptedAtMs.push(nowMs);
    return 0;
  }
}
