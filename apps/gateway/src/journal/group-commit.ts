interface Entry<Item, Result> {
  item: Item;
  resolve: (result: Result) => void;
  reject: (error: unknown) => void;
}

/**
 * One batch is under way; what is added meanwhile forms the next. Alone, an item waits for nothing; in a crowd one
 * round trip serves all of it.
 */
export class GroupCommit<Item, Result> {
  private waiting: Entry<Item, Result>[] = [];
  private isRunning = false;

  /**
   * @param commit gives back one result for each item, in their order; when it throws, each of them fails with that
   * @param maxItems most items in a batch
   * @param isItemError whether an error may be the fault of one item, or of two that got in each other's way: then each is
   * tried alone
   */
  constructor(
    private readonly commit: (items: Item[]) => Promise<Result[]>,
    private readonly maxItems: number,
    private readonly isItemError: (error: unknown) => boolean = () => false,
  ) {}

  /** How many wait for a batch of theirs. */
  get length(): number {
    return this.waiting.length;
  }

  add(item: Item): Promise<Result> {
    return new Promise((resolve, reject) => {
      this.waiting.push({ item, resolve, reject });
      if (!this.isRunning) void this.run();
    });
  }

  private async run(): Promise<void> {
    this.isRunning = true;
    while (this.waiting.length > 0) {
      const batch = this.waiting.splice(0, this.maxItems);
      try {
        const results = await this.commit(batch.map(({ item }) => item));
        for (const [index, { resolve }] of batch.entries()) resolve(results[index] as Result);
      } catch (error) {
        if (batch.length > 1 && this.isItemError(error)) await this.eachAlone(batch);
        else for (const { reject } of batch) reject(error);
      }
    }
    this.isRunning = false;
  }

  private async eachAlone(batch: Entry<Item, Result>[]): Promise<void> {
    for (const { item, resolve, reject } of batch) {
      await this.commit([item]).then(([result]) => resolve(result as Result), reject);
    }
  }
}
