/** Counts who has said that they heard, until as many have as were told. */
export class Telling {
  private heard = 0;
  private told = Number.POSITIVE_INFINITY;
  private finish: (byAll: boolean) => void = () => {};

  /** One more has heard. May come before it is known how many were told. */
  hear(): void {
    this.heard += 1;
    this.check();
  }

  /** @returns whether all of them have heard within that time, in milliseconds */
  async byAll(told: number, timeoutMs: number): Promise<boolean> {
    this.told = told;
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
    if (this.heard >= this.told) this.finish(true);
  }
}
