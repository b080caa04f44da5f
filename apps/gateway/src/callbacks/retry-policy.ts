import type { AttemptResult } from './post-callback.js';

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;

/** Delays between attempts, as Standard Webhooks suggests. After three days the callback is given up. */
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

/** Longest extension of a delay, as a part of it: callbacks that failed together must not retry together. */
const JITTER = 0.2;

const GONE = 410;

export type NextStep = { step: 'delivered' } | { step: 'given up' } | { step: 'retry'; delayMs: number };

/**
 * The step after an attempt.
 * @param attempts how many were made, this one included
 * @param random from 0 to 1
 */
export function nextStep(
  result: AttemptResult,
  { attempts, delaysMs, random }: { attempts: number; delaysMs: readonly number[]; random: number },
): NextStep {
  const status = 'status' in result ? result.status : undefined;
  if (status !== undefined && status >= 200 && status < 300) return { step: 'delivered' };
  const delayMs = delaysMs[attempts - 1];
  // Gone: the receiver's owner wants no more callbacks.
  if (status === GONE || delayMs === undefined) return { step: 'given up' };
  return { step: 'retry', delayMs: Math.round(delayMs * (1 + JITTER * random)) };
}
