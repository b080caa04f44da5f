import type { LimitedPolicy } from '#quota';
import type { Account } from '../../testbed/limiters.js';
import { LIMIT_MAX } from '../provider-entries.js';

const HOUR_MS = 3_600_000;
const POLICY: LimitedPolicy = {
  policy: 'count-then-block',
  limit: LIMIT_MAX,
  blockMs: HOUR_MS,
  startsAt: 'last-accept',
};
const OTHERS: readonly LimitedPolicy[] = [
  { policy: 'fixed-window', limit: LIMIT_MAX, windowMs: HOUR_MS, anchor: 'clock', clockSkewMs: 50 },
  { policy: 'token-bucket', capacity: LIMIT_MAX, refillPerSecond: 1_000_000 },
];

/** Limits that are never reached. */
export const ACCOUNTS = {
  one: { provider: 'bench', policy: POLICY, timeoutMs: 5_000 },
  three: { provider: 'bench-three', policy: POLICY, others: OTHERS, timeoutMs: 5_000 },
} as const satisfies Record<string, Account>;
export type AccountName = keyof typeof ACCOUNTS;
