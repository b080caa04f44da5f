import type { TryResult } from './post-callback.js';

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;

/** Waits between tries, as Standard Webhooks suggests: three days in all, then it is given up. */
export const RETRY_DELAYS_MS: readonly number[] = [
  5 * SECOND_MS,
  5 * MINUTE_MS,
  30 * MINUTE_MS,
  2 * HOUR_MS,
  5 * HOUR_MS,
  10 * HOUR_MS,
  14 * HOUR_MS,
  20 * HOUR_MS,
  24 * HOUR_MS,
];

/** By how much a wait is lengthened at most, so that what failed together does not come back together. */
const JITTER = 0.2;

const GONE = 410;

export type NextStep = { step: 'delivered' } | { step: 'given up' } | { step: 'retry'; delayMs: number };

/** What follows from a try. `tries` includes it; `random` is from 0 to 1. */
export function nextRetry(
  result: TryResult,
  { tries, delaysMs, random }: { tries: number; delaysMs: readonly number[]; random: number },
): NextStep {
  const status = 'status' in result ? result.status : undefined;
  if (status !== undefined && status >= 200 && status < 300) return { step: 'delivered' };
  const delayMs = delaysMs[tries - 1];
  // Gone: its owner wants no more of them.
  if (status === GONE || delayMs === undefined) return { step: 'given up' };
  return { step: 'retry', delayMs: Math.round(delayMs * (1 + JITTER * random)) };
}
