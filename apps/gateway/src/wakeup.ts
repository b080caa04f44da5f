/** A timer of more than 2³¹ − 1 ms would go off at once. */
const TIMER_MAX_MS = 2 ** 31 - 1;

/** Lets a loop sleep until it is told of work, or a time has passed. */
export class Wakeup {
  private isPending = false;
  private wake: (() => void) | undefined;

  give(): void {
    this.isPending = true;
    this.wake?.();
  }

  /** Returns at once when it was given since the last time. */
  async wait(longestMs: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    if (!this.isPending) {
      await new Promise<void>((resolve) => {
        this.wake = resolve;
        timer = setTimeout(resolve, Math.min(longestMs, TIMER_MAX_MS)).unref();
      });
    }
    clearTimeout(timer);
    this.wake = undefined;
    this.isPending = false;
  }
}
