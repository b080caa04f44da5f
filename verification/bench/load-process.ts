// Sends the requests of an order and reports the result. Started by `LoadGenerator`.
import { createHistogram, type RecordableHistogram } from 'node:perf_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import { Pool } from 'undici';
import type { LoadOrder, LoadResult, Shape, Target } from './load.js';

const ANSWER_TIMEOUT_MS = 30_000;

process.on('message', (order: LoadOrder) => {
  void run(order).then((result) => process.send?.(result));
});
process.once('disconnect', () => process.exit(0));
process.send?.('ready');

async function run({ target, shape }: LoadOrder): Promise<LoadResult> {
  const timeouts = { headersTimeout: ANSWER_TIMEOUT_MS, bodyTimeout: ANSWER_TIMEOUT_MS };
  const pool = new Pool(target.origin, { connections: shape.connections, ...timeouts });
  const load = new Load(pool, target);
  const startedMs = performance.now();
  await Promise.all(Array.from({ length: shape.connections }, (_, user) => use(load, shape, { user, startedMs })));
  const tookMs = performance.now() - startedMs;
  await pool.close();
  return load.result(tookMs);
}

/** One connection's requests: at their times, or each as soon as the answer before it has come. */
async function use(
  load: Load,
  { connections, durationMs, perSecond }: Shape,
  { user, startedMs }: { user: number; startedMs: number },
): Promise<void> {
  const everyMs = perSecond === undefined ? 0 : (1_000 / perSecond) * connections;
  let dueMs = startedMs + (everyMs * user) / connections;
  while (performance.now() < startedMs + durationMs) {
    const waitMs = dueMs - performance.now();
    if (everyMs > 0 && waitMs > 0) await delay(waitMs);
    // A request that the one before it delayed has been waiting since it was due (no coordinated omission).
    await load.send(everyMs > 0 && waitMs < 0 ? dueMs : performance.now());
    dueMs += everyMs;
  }
}

class Load {
  private readonly histogram: RecordableHistogram = createHistogram();
  private answered = 0;
  private failed = 0;

  constructor(
    private readonly pool: Pool,
    private readonly target: Target,
  ) {}

  /** Resolves at the answer, good or bad. `dispatch` costs the client less than undici's `request`. */
  send(sinceMs: number): Promise<void> {
    let isGood = false;
    return new Promise((resolve) => {
      const end = (): void => {
        if (isGood) this.answered += 1;
        else this.failed += 1;
        this.histogram.record(Math.max(1, Math.round((performance.now() - sinceMs) * 1_000)));
        resolve();
      };
      const { path, headers, body, status } = this.target;
      this.pool.dispatch(
        { method: 'POST', path, headers, body },
        {
          onRequestStart: () => {},
          onResponseStart: (_controller, actual) => void (isGood = actual === status),
          onResponseData: () => {},
          onResponseEnd: end,
          onResponseError: () => {
            isGood = false;
            end();
          },
        },
      );
    });
  }

  result(tookMs: number): LoadResult {
    const { answered, failed, histogram } = this;
    const [p50, p99] = [50, 99].map((percent) => histogram.percentile(percent) / 1_000);
    return {
      answered,
      failed,
      tookMs,
      latencyMs: { p50: p50 ?? 0, p99: p99 ?? 0 },
    };
  }
}
