import { Wakeup } from './wakeup.js';

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
