/** Callers of so short a time to come share a step with those who are here. */
const AHEAD_MS = 10;
const AHEAD_MAX = 32;
/** Of so many that are left to all, one: nobody can miss what is back within a moment. */
const ROOM = 1_000;

/**
 * How many permits a step takes for callers that have not come yet. Alone, one caller after the other, each would make a
 * trip of its own; at the rate of the last ones it is known how many will follow. Never of a quota that might end first.
 */
export class Demand {
  private asked = 0;
  private sinceMs = -Infinity;
  private left = 0;

  /** A caller came. */
  note(): void {
    this.asked += 1;
  }

  /** @param left how many more the quota can grant to anybody, as of the last step */
  noteLeft(left: number): void {
    this.left = left;
  }

  /**
   * For a step that is made now.
   * @param nowMs on the monotonic clock
   */
  ahead(nowMs: number): number {
    const expected = (this.asked / (nowMs - this.sinceMs)) * AHEAD_MS;
    this.asked = 0;
    this.sinceMs = nowMs;
    return Math.min(AHEAD_MAX, Math.floor(expected), Math.floor(this.left / ROOM));
  }
}
