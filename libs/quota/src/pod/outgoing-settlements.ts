/** One timer for many wishes: it fires at the earliest instant that was asked for, and is then as new. */
export class EarliestTimer {
  private pending: { timer: NodeJS.Timeout; atMs: number } | undefined;

  constructor(private readonly onDue: () => void) {}

  within(delayMs: number): void {
    const atMs = performance.now() + delayMs;
    if (this.pending !== undefined && this.pending.atMs <= atMs) return;
    this.cancel();
    const timer = setTimeout(() => {
      this.pending = undefined;
      this.onDue();
    }, delayMs);
    this.pending = { timer, atMs };
  }

  cancel(): void {
    clearTimeout(this.pending?.timer);
    this.pending = undefined;
  }
}
