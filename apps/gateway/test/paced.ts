import { waitUntil } from '../../../tools/stack/wait-until.js';

/** Calls `work` `count` times, one call every `everyMs`, whether or not the earlier calls have ended. */
export async function paced<Result>(
  { count, everyMs }: { count: number; everyMs: number },
  work: (index: number) => Promise<Result>,
): Promise<Result[]> {
  const startMs = performance.now();
  const calls: Promise<Result>[] = [];
  for (let index = 0; index < count; index += 1) {
    await passed(startMs + index * everyMs);
    calls.push(work(index));
  }
  return Promise.all(calls);
}

/** Waits for a moment on the monotonic clock. */
export async function passed(atMs: number): Promise<void> {
  await waitUntil(() => performance.now() >= atMs, { what: 'the moment has passed', deadlineMs: 300_000 });
}
