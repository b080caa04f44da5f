import { ProblemException } from '#service';

/** A caller that would wait longer than this for its turn is refused at once. */
const MAX_WAIT_MS = 2_000;
/** Hashes that take longer than expected: a caller that has waited this long is refused at its turn. */
const DEADLINE_MS = 2 * MAX_WAIT_MS;
/** Share of the newest duration in the moving average. */
const SMOOTHING = 0.1;

interface Turn {
  arrivedAtMs: number;
  start(): void;
  refuse(problem: ProblemException): void;
}

/** A place in the queue. Use it for one computation after the other. */
export interface Place {
  run<Result>(compute: () => Promise<Result>): Promise<Result>;
}

/**
 * Runs expensive computations in order of arrival, a few at a time. Admits at most 2 s of work, and drops a computation
 * whose client has disconnected before its turn.
 */
export class HashQueue {
  private readonly waiting = new Set<Turn>();
  /** Callers with a place. */
  private admitted = 0;
  /** Computations. */
  private running = 0;
  private averageMs: number;

  constructor(private readonly options: { concurrency: number; expectedMs: number }) {
    this.averageMs = options.expectedMs;
  }

  /**
   * Runs work that computes once. The place is taken first: a caller that would come too late must not cost anything.
   * @param gone aborts when the client disconnects
   * @throws ProblemException unavailable
   */
  async admit<Result>(work: (place: Place) => Promise<Result>, gone?: AbortSignal): Promise<Result> {
    if (this.msUntilTurn() > MAX_WAIT_MS) throw this.tooBusy();
    this.admitted += 1;
    try {
      return await work({ run: (compute) => this.run(compute, gone) });
    } finally {
      this.admitted -= 1;
    }
  }

  private async run<Result>(compute: () => Promise<Result>, gone: AbortSignal | undefined): Promise<Result> {
    if (gone?.aborted) throw disconnected();
    if (this.running < this.options.concurrency) this.running += 1;
    else await this.turn(gone);
    const startedAtMs = performance.now();
    try {
      return await compute();
    } finally {
      this.averageMs += SMOOTHING * (performance.now() - startedAtMs - this.averageMs);
      this.startNext();
    }
  }

  private turn(gone: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const turn: Turn = { arrivedAtMs: performance.now(), start: resolve, refuse: reject };
      this.waiting.add(turn);
      gone?.addEventListener('abort', () => {
        // Has no effect on a turn that has started: that computation runs to its end.
        this.waiting.delete(turn);
        reject(disconnected());
      });
    });
  }

  /** Passes the slot to the next turn, or frees it. */
  private startNext(): void {
    for (const turn of this.waiting) {
      this.waiting.delete(turn);
      if (performance.now() - turn.arrivedAtMs <= DEADLINE_MS) return turn.start();
      turn.refuse(this.tooBusy());
    }
    this.running -= 1;
  }

  /** Expected wait of a caller that arrives now. */
  private msUntilTurn(): number {
    return (this.admitted * this.averageMs) / this.options.concurrency;
  }

  private tooBusy(): ProblemException {
    return new ProblemException('unavailable', 'Too many passwords are being checked. Try again after Retry-After.', {
      retryAfterMs: Math.max(1_000, this.msUntilTurn()),
    });
  }
}

function disconnected(): ProblemException {
  return new ProblemException('unavailable', 'The client disconnected.', { retryAfterMs: 1_000 });
}
