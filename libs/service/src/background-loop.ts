/** Does a round of work again and again until it is closed. */
export class BackgroundLoop {
  private readonly wakeup = new Wakeup();
  private running: Promise<void> | undefined;
  private isClosed = false;

  /**
   * @param round returns the pause before the next round, in milliseconds
   * @param failed told of a round that threw; returns the pause before the next one
   */
  constructor(
    private readonly round: () => Promise<number>,
    private readonly failed: (error: unknown) => number,
  ) {}

  start(): void {
    this.running = this.run();
  }

  /** Ends the pause. */
  wake(): void {
    this.wakeup.signal();
  }

  /** Resolves when the round in progress has ended. */
  async close(): Promise<void> {
    this.isClosed = true;
    this.wakeup.signal();
    await this.running;
  }

  private async run(): Promise<void> {
    while (!this.isClosed) {
      const pauseMs = await this.round().catch((error: unknown) => this.failed(error));
      await this.wakeup.wait(pauseMs);
    }
  }
}

/** Timers of more than 2³¹ − 1 ms fire at once. */
const TIMER_MAX_MS = 2 ** 31 - 1;

/** Lets a loop sleep until it is signalled or a time has passed. */
class Wakeup {
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
