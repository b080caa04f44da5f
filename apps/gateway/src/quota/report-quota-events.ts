import { Logger } from '@nestjs/common';
import type { QuotaEvent } from '#quota';
import { foreignRequests, quotaEvents } from './quota-metrics.js';

/** Somebody else's traffic is noticed with every answer; it is said this often. */
const FOREIGN_USE_LOGGED_EVERY_MS = 3_600_000;
const EXPECTED = new Set<QuotaEvent['event']>(['blocked', 'reopened', 'store back']);

/** Tells what happens to quotas in the log and in metrics. */
export function reportQuotaEvents(): (event: QuotaEvent) => void {
  const logger = new Logger('quota');
  const foreignUseLoggedMs = new Map<string, number>();
  return ({ event, ...fields }) => {
    quotaEvents.inc({ event, provider: fields.provider });
    if ('requests' in fields) {
      foreignRequests.inc({ provider: fields.provider }, fields.requests);
      const lastMs = foreignUseLoggedMs.get(fields.provider) ?? -Infinity;
      if (performance.now() - lastMs < FOREIGN_USE_LOGGED_EVERY_MS) return;
      foreignUseLoggedMs.set(fields.provider, performance.now());
    }
    if (EXPECTED.has(event)) logger.log(`quota ${event}`, fields);
    else logger.warn(`quota ${event}`, fields);
  };
}
