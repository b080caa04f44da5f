import { Counter } from 'prom-client';
import type { Quota } from '#quota';

export const quotaEvents = new Counter({
  name: 'octo_quota_events_total',
  help: 'Transitions of quotas, as this pod saw them',
  labelNames: ['provider', 'event'] as const,
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
