/** How much the latest request counts in the average. */
const WEIGHT = 0.2;

/** What recent requests used: the estimate for a request that brings none. */
export class UsualAmount {
  private average: number | undefined;

  get value(): number {
    return Math.max(1, Math.ceil(this.average ?? 1));
  }

  note(used: number): void {
    this.average = this.average === undefined ? used : this.average + WEIGHT * (used - this.average);
  }
}
