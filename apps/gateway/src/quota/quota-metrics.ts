import { Counter } from 'prom-client';
import type { Quota } from '#quota';

export const quotaEvents = new Counter({
  name: 'octo_quota_events_total',
  help: 'Transitions of quotas, as this pod saw them',
  labelNames: ['provider', 'event'] as const,
});

export const foreignRequests = new Counter({
  name: 'octo_quota_foreign_requests_total',
  help: 'Requests of somebody else on the same account, as far as the provider told or they were found out',
  labelNames: ['provider'] as const,
});

/** Counted where they are made; read when somebody asks. */
export function watchTrips(quota: Quota): void {
  new Counter({
    name: 'octo_quota_trips_total',
    help: 'Round trips to Redis for permits',
    collect() {
      this.reset();
      this.inc(quota.trips);
    },
  });
}
