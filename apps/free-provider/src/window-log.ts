import type { ProviderStats } from '#contracts';

/** Older windows leave the log; the totals still count them. */
const WINDOWS_LOGGED = 10_000;

interface LoggedWindow {
  startedMs: number;
  block: Block | null;
  accepted: number;
  refused: number;
}

/** From the moment when the quota is used up to the moment when the next request is accepted. */
export interface Block {
  startsMs: number;
  endsMs: number;
}

/**
 * What a provider accepted and refused, window by window, for its stats. A window begins with the first request that an
 * open provider accepts, and ends with its block.
 */
export class WindowLog {
  private windows: LoggedWindow[] = [];
  private current: LoggedWindow | undefined;
  private accepted = 0;
  private refused = 0;

  /** @param amount 1 for a request, or its tokens */
  accept(nowMs: number, amount = 1): void {
    this.accepted += amount;
    this.currentOrNext(nowMs).accepted += amount;
  }

  /** Counts to the window that is blocked. */
  refuse(): void {
    this.refused += 1;
    if (this.current !== undefined) this.current.refused += 1;
  }

  block(block: Block): void {
    if (this.current !== undefined) this.current.block = block;
  }

  /** Call when the window ends by time alone, blocked or not. */
  endWindow(): void {
    this.current = undefined;
  }

  stats(): ProviderStats {
    return {
      accepted: this.accepted,
      refused: this.refused,
      windows: this.windows.filter(({ accepted, refused }) => accepted + refused > 0).map(describe),
    };
  }

  /** Begins a new log; the current window continues in it. */
  reset(): void {
    this.accepted = 0;
    this.refused = 0;
    if (this.current !== undefined) this.current = { ...this.current, accepted: 0, refused: 0 };
    this.windows = this.current === undefined ? [] : [this.current];
  }

  private currentOrNext(nowMs: number): LoggedWindow {
    const { current } = this;
    if (current !== undefined && (current.block === null || nowMs < current.block.endsMs)) return current;
    const next: LoggedWindow = { startedMs: nowMs, block: null, accepted: 0, refused: 0 };
    this.windows.push(next);
    if (this.windows.length > WINDOWS_LOGGED) this.windows.shift();
    this.current = next;
    return next;
  }
}

function describe({ startedMs, block, accepted, refused }: LoggedWindow): ProviderStats['windows'][number] {
  return {
    startedAt: instant(startedMs),
    blockedAt: block && instant(block.startsMs),
    reopensAt: block && instant(block.endsMs),
    accepted,
    refused,
  };
}

/** RFC 3339. */
function instant(ms: number): string {
  return new Date(ms).toISOString();
}
