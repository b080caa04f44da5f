/** Timers of more than 2³¹ − 1 ms fire at once. */
const TIMER_MAX_MS = 2 ** 31 - 1;

/** Lets a loop sleep until it is signalled or a time has passed. */
export class Wakeup {
  private isSignalled = false;
  private endWait: (() => void) | undefined;

  signal(): void {
    this.isSignalled = true;
    this.endWait?.();
  }

  /** Returns at once if a signal came since the last wait. */
  async wait(maxMs: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    if (!this.isSignalled) {
      await new Promise<void>((resolve) => {
        this.endWait = resolve;
        timer = setTimeout(resolve, Math.min(maxMs, TIMER_MAX_MS)).unref();
      });
    }
    clearTimeout(timer);
    this.endWait = undefined;
    this.isSignalled = false;
  }
}
