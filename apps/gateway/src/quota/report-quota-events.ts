import { Logger } from '@nestjs/common';
import { Counter } from 'prom-client';
import type { Quota, QuotaEvent } from '#quota';
import type { ProvidersFile } from '../providers/providers-file.js';

const quotaEvents = new Counter({
  name: 'octo_quota_events_total',
  help: 'Transitions of quotas, as this pod saw them',
  labelNames: ['provider', 'event'] as const,
});

const foreignRequests = new Counter({
  name: 'octo_quota_foreign_requests_total',
  help: 'Requests of other clients that use the same provider account, as far as its answers show',
  labelNames: ['provider'] as const,
});

/** Other clients' requests show in every answer; the log mentions them this often. */
const FOREIGN_USE_LOG_MS = 3_600_000;
const EXPECTED = new Set<QuotaEvent['event']>(['blocked', 'reopened', 'rebuilt', 'store back']);

/** Starts the series of alerts and dashboards at 0: Prometheus does not see the first increase of a series that begins with it. */
export function startQuotaSeries({ providers }: ProvidersFile): void {
  for (const { account: provider, quotas } of providers) {
    if (quotas.length > 0) foreignRequests.inc({ provider }, 0);
  }
}

/** Reports what happens to quotas, in the log and in metrics. */
export function reportQuotaEvents(): (event: QuotaEvent) => void {
  const logger = new Logger('quota');
  const foreignUseLoggedMs = new Map<string, number>();
  return ({ event, ...fields }) => {
    quotaEvents.inc({ event, provider: fields.provider });
    if ('requests' in fields) {
      foreignRequests.inc({ provider: fields.provider }, fields.requests);
      const lastMs = foreignUseLoggedMs.get(fields.provider) ?? -Infinity;
      if (performance.now() - lastMs < FOREIGN_USE_LOG_MS) return;
      foreignUseLoggedMs.set(fields.provider, performance.now());
    }
    if (EXPECTED.has(event)) logger.log(`quota ${event}`, fields);
    else logger.warn(`quota ${event}`, fields);
  };
}

/** The engine counts its trips; the metric reads that count when it is collected. */
export function reportTrips(quota: Quota): void {
  new Counter({
    name: 'octo_quota_trips_total',
    help: 'Round trips to Redis for permits',
    collect() {
      this.reset();
      this.inc(quota.trips);
    },
  });
}
