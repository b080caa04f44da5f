import type { Admission } from '#reference-provider';
import { AllOf } from './all-of.js';
import { Concurrency } from './concurrency.js';
import { CountThenBlock } from './count-then-block.js';
import { FixedWindow } from './fixed-window.js';
import type { FreeProviderSettings, QuotaSettings } from './free-provider.settings.js';
import type { Limit } from './limit.js';
import { SlidingWindow } from './sliding-window.js';
import { TokenBucket } from './token-bucket.js';
import { Unlimited } from './unlimited.js';

/** `FREE_QUOTAS`, or the one quota of the other settings. */
export function chooseAdmission(settings: FreeProviderSettings): Admission {
  const { FREE_QUOTAS: quotas, FREE_RATELIMIT_HEADERS: sendsHeaders } = settings;
  if (quotas !== undefined) return new AllOf(quotas.map((quota) => limitOf(quota, sendsHeaders)));
  if (settings.FREE_POLICY === 'unlimited') return new Unlimited();
  const single = {
    name: 'free',
    policy: settings.FREE_POLICY,
    limit: settings.FREE_LIMIT,
    unit: 'requests' as const,
    announced: true,
    blockMs: settings.FREE_BLOCK_MS,
    startsAt: settings.FREE_STARTS_AT,
    windowMs: settings.FREE_WINDOW_MS,
    anchor: settings.FREE_ANCHOR,
    refillPerSecond: settings.FREE_REFILL_PER_SECOND,
  };
  return limitOf(single, sendsHeaders);
}

function limitOf({ policy, announced, ...options }: QuotaSettings, sendsAny: boolean): Limit {
  const sendsHeaders = sendsAny && announced;
  switch (policy) {
    case 'count-then-block':
      return new CountThenBlock({ ...options, sendsHeaders });
    case 'fixed-window':
      return new FixedWindow({ ...options, sendsHeaders });
    case 'sliding-window':
      return new SlidingWindow({ ...options, sendsHeaders });
    case 'token-bucket':
      return new TokenBucket({ ...options, sendsHeaders });
    default:
      return new Concurrency(options);
  }
}
