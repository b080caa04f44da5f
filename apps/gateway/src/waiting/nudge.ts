/** Lets a loop sleep until it is told of work, or a time has passed. */
export class Nudge {
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
        timer = setTimeout(resolve, longestMs).unref();
      });
    }
    clearTimeout(timer);
    this.wake = undefined;
    this.isPending = false;
  }
}
