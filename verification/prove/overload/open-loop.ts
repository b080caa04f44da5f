import { setTimeout as delay } from 'node:timers/promises';

/** How a request ended, and how long after it was due: no coordinated omission. */
export interface Timed {
  status: number;
  tookMs: number;
}

/** Sends requests when they are due, however many are in flight, and waits for all answers. */
export async function openLoop(
  { perSecond, durationMs }: { perSecond: number; durationMs: number },
  send: () => Promise<number>,
): Promise<Timed[]> {
  const startedMs = performance.now();
  const requests: Promise<Timed>[] = [];
  const timed = async (dueMs: number): Promise<Timed> => ({ status: await send(), tookMs: performance.now() - dueMs });
  for (let passedMs = 0; passedMs < durationMs; passedMs = performance.now() - startedMs) {
    const due = passedMs * (perSecond / 1_000);
    while (requests.length < due) requests.push(timed(startedMs + (requests.length * 1_000) / perSecond));
    await delay(5);
  }
  return Promise.all(requests);
}

export function p99Of(requests: readonly Timed[]): number {
  const sorted = requests.map(({ tookMs }) => tookMs).toSorted((a, b) => a - b);
  return Math.round(sorted[Math.floor(sorted.length * 0.99)] ?? 0);
}
