import { setTimeout as delay } from 'node:timers/promises';

/**
 * Waits for a condition, with a deadline.
 * @throws naming what was waited for
 */
export async function waitUntil(
  condition: () => boolean | Promise<boolean>,
  { what, deadlineMs = 60_000, everyMs = 10 }: { what: string; deadlineMs?: number; everyMs?: number },
): Promise<void> {
  const endMs = performance.now() + deadlineMs;
  while (!(await condition())) {
    if (performance.now() > endMs) throw new Error(`waited ${deadlineMs} ms in vain: ${what}`);
    await delay(everyMs);
  }
}
