import { withinLoopTime } from './loop-time.js';
import type { StoredAccess } from './stored-access.js';

const TIMEOUT_MS = 2_000;
/** Far longer than from the record of a revocation to its commit: the next poll must find what was committed late. */
const OVERLAP_MS = 15_000;

interface PollOptions {
  stored: Pick<StoredAccess, 'revokedWithin'>;
  /** Called with the ids that are new to this process. */
  onRevoked: (accessIds: string[]) => void;
  /** How long this process may be sure of its cache after a poll started. */
  trustMs: number;
}

/**
 * Reads new revocations from Postgres, where each one is committed before Redis announces it. It finds a revocation that
 * the auth app could not announce because only that app has lost Redis.
 */
export class RevocationPoll {
  /** By access id; the times are the expiry of the revocations of the last poll. */
  private known = new Map<string, number>();
  private state: 'starting' | 'up' | 'down' = 'starting';
  private trustEnds = 0;
  private isPolling = false;

  constructor(private readonly options: PollOptions) {}

  /** Unix time in milliseconds. While this process cannot reach Postgres, it trusts its subscription alone: no limit. */
  get trustedUntil(): number {
    return this.state === 'down' ? Number.POSITIVE_INFINITY : this.trustEnds;
  }

  async poll(): Promise<void> {
    if (this.isPolling) return;
    this.isPolling = true;
    const startedAt = Date.now();
    try {
      // A process that was paused reads further back.
      const lastStartedAt = this.trustEnds - this.options.trustMs;
      const withinMs = this.state === 'up' ? OVERLAP_MS + startedAt - lastStartedAt : undefined;
      const found = await withinLoopTime(this.options.stored.revokedWithin(withinMs), TIMEOUT_MS);
      const isNew = ([id, expiresAtMs]: [string, number]): boolean => this.known.get(id) !== expiresAtMs;
      const newIds = [...found].filter(isNew).map(([id]) => id);
      if (newIds.length > 0) this.options.onRevoked(newIds);
      this.known = found;
      this.trustEnds = startedAt + this.options.trustMs;
      this.state = 'up';
    } catch {
      // Postgres is down, which the database module logs.
      this.state = 'down';
    } finally {
      this.isPolling = false;
    }
  }
}
