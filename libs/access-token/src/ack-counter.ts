/** Counts acknowledgements until there are as many as expected. */
export class AckCounter {
  private received = 0;
  private expected = Number.POSITIVE_INFINITY;
  private finish: (isComplete: boolean) => void = () => {};

  /** Counts one acknowledgement. It may arrive before the expected number is known. */
  receive(): void {
    this.received += 1;
    this.check();
  }

  /** @returns whether `expected` acknowledgements arrived within the timeout */
  async wait({ expected, timeoutMs }: { expected: number; timeoutMs: number }): Promise<boolean> {
    this.expected = expected;
    let timer: NodeJS.Timeout | undefined;
    try {
      return await new Promise((resolve) => {
        this.finish = resolve;
        timer = setTimeout(() => resolve(false), timeoutMs);
        this.check();
      });
    } finally {
      clearTimeout(timer);
    }
  }

  private check(): void {
    if (this.received >= this.expected) this.finish(true);
  }
}
