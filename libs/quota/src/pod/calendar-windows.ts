import { type Calendar, windowStartsMs } from '../calendar.js';

/** The windows of a calendar around the time of the Redis server: the pod's own clock does not matter. */
export class CalendarWindows {
  /** The clock of the server, less that of this process. */
  private aheadMs = 0;
  private starts: readonly number[] = [];

  /** @param reachMs how far ahead the windows must be known */
  constructor(
    private readonly calendar: Calendar,
    private readonly reachMs: number,
  ) {}

  noteServerTime(serverMs: number): void {
    this.aheadMs = serverMs - Date.now();
  }

  /** See `windowStartsMs`. */
  startsMs(): readonly number[] {
    const nowMs = Date.now() + this.aheadMs;
    const [, current = Infinity, next = -Infinity] = this.starts;
    // The starts of the window before, of the current one, and of the next.
    if (nowMs < current || nowMs >= next) this.starts = windowStartsMs(this.calendar, nowMs, this.reachMs);
    return this.starts;
  }
}
