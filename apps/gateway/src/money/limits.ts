import type { Budget } from '#contracts';
import type { BudgetDay } from './budget-day.js';
import type { StoredLimit } from './budget-store.js';
import { DEPLOYMENT } from './ledger.service.js';

/** A budget that applies to a message. */
export interface Limit extends Budget {
  /** The account, or `DEPLOYMENT`. */
  id: string;
}

/** A limit that would be exceeded. */
export interface ReachedLimit {
  scope: 'account' | 'deployment';
  window: 'day' | 'month';
  limitMicros: number;
  /** Unix time in milliseconds. */
  resetsAtMs: number;
}

/** Why a message may not be paid for now. */
export type SpendingDenial = { granted: false; waitMs: number } & (
  { reason: 'no_paid_access' } | { reason: 'budget'; limit: ReachedLimit } | { reason: 'budget_unknown' }
);

/** The budgets of an account and of the deployment, where they have any. */
export function limitsOf(accountId: string, budget: Budget, deployment: Budget): Limit[] {
  return [
    { id: accountId, ...budget },
    { id: DEPLOYMENT, ...deployment },
  ].filter(({ dayMicros, monthMicros }) => dayMicros !== null || monthMicros !== null);
}

export function storedLimit({ id, dayMicros, monthMicros }: Limit): StoredLimit {
  return { id, ...(dayMicros !== null && { dayMicros }), ...(monthMicros !== null && { monthMicros }) };
}

/** @param nowMs by the clock of Redis */
export function exhausted(
  limits: readonly Limit[],
  { budget, window }: { budget: string; window: ReachedLimit['window'] },
  { endMs, monthEndMs, nowMs }: Pick<BudgetDay, 'endMs' | 'monthEndMs'> & { nowMs: number },
): SpendingDenial {
  const limit = limits.find(({ id }) => id === budget);
  const limitMicros = (window === 'day' ? limit?.dayMicros : limit?.monthMicros) ?? 0;
  const resetsAtMs = window === 'day' ? endMs : monthEndMs;
  const scope = budget === DEPLOYMENT ? 'deployment' : 'account';
  const reached = { scope, window, limitMicros, resetsAtMs } as const;
  return { granted: false, reason: 'budget', limit: reached, waitMs: Math.max(0, resetsAtMs - nowMs) };
}
