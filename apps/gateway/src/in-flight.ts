/** Work that was started and not awaited, so that a shutdown can wait for it. */
export class InFlight {
  private readonly running = new Set<Promise<void>>();

  get size(): number {
    return this.running.size;
  }

  /** @param work never fails */
  add(work: Promise<void>, onEnd: () => void = () => {}): void {
    const tracked = work.finally(() => {
      this.running.delete(tracked);
      onEnd();
    });
    this.running.add(tracked);
  }

  /** Resolves when everything that is running now has ended. */
  async drain(): Promise<void> {
    await Promise.all(this.running);
  }
}
