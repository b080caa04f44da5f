/** Granularity of loop time. */
const TURN_MS = 100;

/** The other side did not answer in time. */
export class TooLate extends Error {}

/**
 * Waits for a promise, for at most `ms` of loop time: each 100 ms counts once, and only after the event loop has read its
 * sockets. A process that was busy for a second has not waited for a second: the answer may be in its socket buffer.
 * @throws TooLate, or what the promise throws
 */
export async function withinLoopTime<Result>(promise: Promise<Result>, ms: number): Promise<Result> {
  const countdown = new LoopCountdown(Math.ceil(ms / TURN_MS));
  try {
    return await new Promise<Result>((resolve, reject) => {
      countdown.start(() => reject(new TooLate(`no answer within ${ms} ms`)));
      promise.then(resolve, reject);
    });
  } finally {
    countdown.cancel();
  }
}

class LoopCountdown {
  private timer: NodeJS.Timeout | undefined;
  private isCancelled = false;

  constructor(private turnsLeft: number) {}

  start(callback: () => void): void {
    // Timers run before sockets are read, immediates after that.
    this.timer = setTimeout(() => setImmediate(() => this.turn(callback)), TURN_MS);
  }

  cancel(): void {
    this.isCancelled = true;
    clearTimeout(this.timer);
  }

  private turn(callback: () => void): void {
    if (this.isCancelled) return;
    this.turnsLeft -= 1;
    if (this.turnsLeft > 0) this.start(callback);
    else callback();
  }
}
