// Sends what it is told to, and tells how that went. Started by `LoadGenerator`.
import { readFileSync } from 'node:fs';
import { createHistogram, type RecordableHistogram } from 'node:perf_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import { type Dispatcher, Pool } from 'undici';
import type { LoadOrder, LoadResult, Shape, Target } from './load.js';

const ANSWER_TIMEOUT_MS = 30_000;

process.on('message', (order: LoadOrder) => {
  void run(order).then((result) => process.send?.(result));
});
process.once('disconnect', () => process.exit(0));
process.send?.('ready');

async function run({ target, shape }: LoadOrder): Promise<LoadResult> {
  const timeouts = { headersTimeout: ANSWER_TIMEOUT_MS, bodyTimeout: ANSWER_TIMEOUT_MS };
  const pools = target.origins.map((origin) => new Pool(origin, { connections: shape.connections, ...timeouts }));
  const load = new Load(pools, target);
  const startedMs = performance.now();
  await Promise.all(Array.from({ length: shape.connections }, (_, user) => use(load, shape, { user, startedMs })));
  const tookMs = performance.now() - startedMs;
  await Promise.all(pools.map((pool) => pool.close()));
  return load.result(tookMs);
}

/** One connection's part: at its own moments, or as fast as the answers come. */
async function use(
  load: Load,
  { connections, durationMs, perSecond, atMost = Infinity }: Shape,
  { user, startedMs }: { user: number; startedMs: number },
): Promise<void> {
  const everyMs = perSecond === undefined ? 0 : (1_000 / perSecond) * connections;
  let dueMs = startedMs + (everyMs * user) / connections;
  while (performance.now() < startedMs + durationMs && load.sent < atMost) {
    const waitMs = dueMs - performance.now();
    if (everyMs > 0 && waitMs > 0) await delay(waitMs);
    // Who could not be sent because the one before it took so long has been waiting since it was due.
    await load.send(user, everyMs > 0 && waitMs < 0 ? dueMs : performance.now());
    dueMs += everyMs;
  }
}

class Load {
  private readonly histogram: RecordableHistogram = createHistogram();
  private readonly cookies: string[] | undefined;
  private answered = 0;
  private failed = 0;
  /** Which of the cookies is sent first: a short run shall not always meet the same ones. */
  private readonly first = Math.floor(Math.random() * 1_000_000);
  /** So far. */
  sent = 0;

  constructor(
    private readonly pools: readonly Pool[],
    private readonly target: Target,
  ) {
    const { cookiesFile } = target;
    this.cookies = cookiesFile === undefined ? undefined : readFileSync(cookiesFile, 'utf8').trimEnd().split('\n');
  }

  /** Resolves when it was answered, whatever the answer. */
  send(user: number, sinceMs: number): Promise<void> {
    this.sent += 1;
    return new Promise((resolve) => {
      const end = (isGood: boolean): void => {
        if (isGood) this.answered += 1;
        else this.failed += 1;
        this.histogram.record(Math.max(1, Math.round((performance.now() - sinceMs) * 1_000)));
        resolve();
      };
      this.pools[user % this.pools.length]?.dispatch(this.request(), new Answer(this.target.status, end));
    });
  }

  result(tookMs: number): LoadResult {
    const { answered, failed, histogram } = this;
    const [p50, p99, p999] = [50, 99, 99.9].map((percent) => histogram.percentile(percent) / 1_000);
    return {
      answered,
      failed,
      tookMs,
      latencyMs: { p50: p50 ?? 0, p99: p99 ?? 0, p999: p999 ?? 0 },
    };
  }

  private request(): Dispatcher.DispatchOptions {
    const { path, headers, body } = this.target;
    const cookie = this.cookies?.[(this.first + this.sent) % this.cookies.length];
    return { method: 'POST', path, body, headers: cookie === undefined ? headers : { ...headers, cookie } };
  }
}

/** Reads an answer to its end. */
class Answer implements Dispatcher.DispatchHandler {
  private isExpected = false;

  constructor(
    private readonly status: number,
    private readonly end: (isGood: boolean) => void,
  ) {}

  onRequestStart(): void {}

  onResponseStart(_controller: Dispatcher.DispatchController, status: number): void {
    this.isExpected = status === this.status;
  }

  onResponseData(): void {}

  onResponseEnd(): void {
    this.end(this.isExpected);
  }

  onResponseError(): void {
    this.end(false);
  }
}
