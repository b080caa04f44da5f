import { withinLoopTime } from './loop-time.js';

/** Most ids in one query. */
const BATCH_MAX = 1_000;
/** Most ids that wait for their query. */
const WAITING_MAX = 5_000;
const QUERY_TIMEOUT_MS = 2_000;
/** After a failed query, lookups fail at once for this long: a store that is down must not hold up every request. */
const RETRY_AFTER_MS = 500;

/** The store cannot be asked, did not answer in time, or too many lookups wait for it. */
export class LookupFailed extends Error {}

interface Lookup<Found> {
  promise: Promise<Found | undefined>;
  resolve: (found: Found | undefined) => void;
  reject: (error: LookupFailed) => void;
}

/**
 * Groups lookups by id: one query is in flight, and the lookups that arrive meanwhile form the next one. A lookup never
 * joins a query that has started: its answer may be older than the lookup.
 */
export class BatchedLookup<Found> {
  private readonly waiting = new Map<string, Lookup<Found>>();
  private isQuerying = false;
  private failedAtMs = Number.NEGATIVE_INFINITY;

  /** @param query finds all that exist of these ids */
  constructor(private readonly query: (ids: string[]) => Promise<Map<string, Found>>) {}

  /** @throws LookupFailed */
  async find(id: string): Promise<Found | undefined> {
    if (performance.now() - this.failedAtMs < RETRY_AFTER_MS) throw new LookupFailed('the last query failed');
    const lookup = this.waiting.get(id) ?? this.add(id);
    if (!this.isQuerying) void this.queryAll();
    return lookup.promise;
  }

  private add(id: string): Lookup<Found> {
    if (this.waiting.size >= WAITING_MAX) throw new LookupFailed('too many lookups are waiting');
    const lookup = newLookup<Found>();
    this.waiting.set(id, lookup);
    return lookup;
  }

  private async queryAll(): Promise<void> {
    this.isQuerying = true;
    // oxlint-disable-next-line no-await-in-loop -- one query at a time
    while (this.waiting.size > 0) await this.queryBatch();
    this.isQuerying = false;
  }

  private async queryBatch(): Promise<void> {
    const batch = [...this.waiting].slice(0, BATCH_MAX);
    for (const [id] of batch) this.waiting.delete(id);
    try {
      const found = await withinLoopTime(this.query(batch.map(([id]) => id)), QUERY_TIMEOUT_MS);
      for (const [id, lookup] of batch) lookup.resolve(found.get(id));
    } catch (cause) {
      this.failedAtMs = performance.now();
      const error = new LookupFailed('the query failed', { cause });
      for (const [, lookup] of [...batch, ...this.waiting]) lookup.reject(error);
      this.waiting.clear();
    }
  }
}

function newLookup<Found>(): Lookup<Found> {
  let resolve: Lookup<Found>['resolve'] = () => {};
  let reject: Lookup<Found>['reject'] = () => {};
  const promise = new Promise<Found | undefined>((onFound, onError) => {
    resolve = onFound;
    reject = onError;
  });
  return { promise, resolve, reject };
}
