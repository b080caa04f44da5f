interface Entry<Item, Result> {
  item: Item;
  resolve: (result: Result) => void;
  reject: (error: unknown) => void;
}

/**
 * One batch is in flight; the items added meanwhile form the next. A single item waits for nothing; under load one round
 * trip serves many.
 */
export class GroupCommit<Item, Result> {
  private waiting: Entry<Item, Result>[] = [];
  /** Undefined while no batch is in flight. */
  private startedAtMs: number | undefined;
  private last = { tookMs: 0, endedAtMs: 0 };

  /**
   * @param commit returns one result for each item, in their order; when it throws, every item fails with its error
   * @param maxItems most items in a batch
   * @param isItemError whether an error may be the fault of one item, or of two that conflict: then the items of the
   * batch are committed one by one
   * @param start begins a batch: at once, or a little later, so that it takes more items
   */
  constructor(
    private readonly commit: (items: Item[]) => Promise<Result[]>,
    private readonly maxItems: number,
    private readonly isItemError: (error: unknown) => boolean = () => false,
    private readonly start: (run: () => void) => void = (run) => run(),
  ) {}

  /** How long the batch in flight has taken so far, in milliseconds; 0 when there is none. */
  inFlightForMs(nowMs: number): number {
    return this.startedAtMs === undefined ? 0 : nowMs - this.startedAtMs;
  }

  /**
   * How long an item will wait behind others, if batches take as long as the last ones did. The memory of a slow batch
   * halves with each second without one.
   */
  expectedWaitMs(itemsAhead: number, nowMs: number): number {
    const isIdle = this.startedAtMs === undefined;
    const recentMs = this.last.tookMs * (isIdle ? 0.5 ** ((nowMs - this.last.endedAtMs) / 1_000) : 1);
    return Math.ceil(itemsAhead / this.maxItems) * Math.max(recentMs, this.inFlightForMs(nowMs));
  }

  add(item: Item): Promise<Result> {
    return new Promise((resolve, reject) => {
      this.waiting.push({ item, resolve, reject });
      if (this.startedAtMs !== undefined) return;
      this.startedAtMs = performance.now();
      this.start(() => void this.run());
    });
  }

  private async run(): Promise<void> {
    const startedAtMs = performance.now();
    this.startedAtMs = startedAtMs;
    const batch = this.waiting.splice(0, this.maxItems);
    try {
      const results = await this.commit(batch.map(({ item }) => item));
      for (const [index, { resolve }] of batch.entries()) resolve(results[index] as Result);
    } catch (error) {
      if (batch.length > 1 && this.isItemError(error)) await this.commitOneByOne(batch);
      else for (const { reject } of batch) reject(error);
    }
    const endedAtMs = performance.now();
    this.last = { tookMs: endedAtMs - startedAtMs, endedAtMs };
    if (this.waiting.length > 0) this.start(() => void this.run());
    else this.startedAtMs = undefined;
  }

  private async commitOneByOne(batch: Entry<Item, Result>[]): Promise<void> {
    for (const { item, resolve, reject } of batch) {
      await this.commit([item]).then(([result]) => resolve(result as Result), reject);
    }
  }
}
