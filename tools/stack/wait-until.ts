import { setTimeout as delay } from 'node:timers/promises';

/**
 * Polls a condition until it holds.
 * @throws with `what` when the deadline passes first
 */
export async function waitUntil(
  condition: () => boolean | Promise<boolean>,
  { what, deadlineMs = 60_000, everyMs = 10 }: { what: string; deadlineMs?: number; everyMs?: number },
): Promise<void> {
  const endMs = performance.now() + deadlineMs;
  while (!(await condition())) {
    if (performance.now() > endMs) throw new Error(`timed out after ${deadlineMs} ms waiting for: ${what}`);
    await delay(everyMs);
  }
}
