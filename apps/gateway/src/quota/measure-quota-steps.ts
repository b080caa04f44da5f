import { Histogram } from 'prom-client';
import type { QuotaStep } from '#quota';
import type { ProvidersFile } from '../providers/providers-file.js';

const stepDuration = new Histogram({
  name: 'octo_quota_step_duration_seconds',
  help: 'Time of a round trip to Redis for permits, settlements or the state of a quota',
  buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1],
});

const stepPermits = new Histogram({
  name: 'octo_quota_step_permits',
  help: 'Permits that one round trip to Redis was granted, of the trips that asked for some',
  buckets: [0, 1, 2, 5, 10, 20, 50, 100, 200, 500],
});

const reopeningLag = new Histogram({
  name: 'octo_quota_reopening_lag_seconds',
  help: 'Time from the reopening of a quota to the first permit after it, also when no message came in between',
  labelNames: ['account'] as const,
  buckets: [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30, 300],
});

const started = new Set<string>();

/** Adds the histogram of each account, without resetting one that has begun. */
export function startLagSeries({ providers }: ProvidersFile): void {
  for (const { account, quotas } of providers) {
    if (quotas.length === 0 || started.has(account)) continue;
    started.add(account);
    reopeningLag.zero({ account });
  }
}

/** Measures the round trips of the quota engine, and how soon a quota that reopened is used. */
export function measureQuotaSteps(): (step: QuotaStep) => void {
  /** When each blocked quota reopens, on the monotonic clock. */
  const reopensAtMs = new Map<string, number>();
  return ({ provider, quota = '', wanted, granted, state, used, waitMs, tookMs }) => {
    stepDuration.observe(tookMs / 1_000);
    if (wanted > 0) stepPermits.observe(granted);
    const key = `${provider} ${quota}`;
    const nowMs = performance.now();
    const reopenedAtMs = reopensAtMs.get(key);
    if (reopenedAtMs !== undefined && granted > 0) {
      reopensAtMs.delete(key);
      // More is used than this pod was granted now: another pod was first, and measures the lag.
      if (used <= granted) reopeningLag.observe({ account: provider }, Math.max(0, nowMs - reopenedAtMs) / 1_000);
    }
    // From the sending of the step, as the engine counts.
    if (state === 'blocked') reopensAtMs.set(key, Math.max(reopensAtMs.get(key) ?? 0, nowMs - tookMs + waitMs));
  };
}
