import { setTimeout as delay } from 'node:timers/promises';

/** How one request ended, and how long after it was due. */
export interface Timed {
  status: number | string;
  tookMs: number;
}

export interface Rate {
  perSecond: number;
  durationMs: number;
}

const TICK_MS = 5;

/** Sends requests when they are due, however many are in flight, and waits for all answers. */
export async function openLoop(
  { perSecond, durationMs }: Rate,
  send: () => Promise<number | string>,
): Promise<Timed[]> {
  const startedMs = performance.now();
  const requests: Promise<Timed>[] = [];
  const timed = async (dueMs: number): Promise<Timed> => ({ status: await send(), tookMs: performance.now() - dueMs });
  while (performance.now() - startedMs < durationMs) {
    // A delay of this process counts: a request has been waiting since it was due (no coordinated omission).
    const due = Math.min(performance.now() - startedMs, durationMs) * (perSecond / 1_000);
    while (requests.length < due) requests.push(timed(startedMs + (requests.length * 1_000) / perSecond));
    await delay(TICK_MS);
  }
  return Promise.all(requests);
}

export function p99Of(requests: readonly Timed[]): number {
  const sorted = requests.map(({ tookMs }) => tookMs).toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length * 0.99)] ?? 0;
}
