import type { Admission } from '#reference-provider';
import { type LimitedPolicy, limitOf, periodMsOf } from '#quota';
import { chooseAdmission } from '../../../apps/free-provider/src/choose-admission.js';
import { freeProviderSettings } from '../../../apps/free-provider/src/free-provider.settings.js';
import type { ProviderLimit } from './scenarios.js';

/** Settings of a free provider with these limits. */
export function providerEnv(limits: readonly ProviderLimit[]): NodeJS.ProcessEnv {
  const [only, ...others] = limits;
  if (only !== undefined && others.length === 0 && only.unit === 'requests') {
    const { policy, isAnnounced } = only;
    return { ...settingsOf(policy), FREE_POLICY: policy.policy, FREE_RATELIMIT_HEADERS: String(isAnnounced) };
  }
  const quotas = limits.map(({ policy, unit, isAnnounced }) => ({ ...quotaOf(policy), unit, announced: isAnnounced }));
  return { FREE_QUOTAS: JSON.stringify(quotas) };
}

/** `anchor`, `windowMs` and so on have the same names there. */
function quotaOf(policy: LimitedPolicy): object {
  const name = policy.policy;
  if (policy.policy === 'token-bucket')
    return { name, policy: policy.policy, limit: policy.capacity, refillPerSecond: policy.refillPerSecond };
  if (policy.policy !== 'fixed-window') return { name, ...policy };
  const { limit } = policy;
  return { name, policy: policy.policy, limit, ...windowOf(policy) };
}

/** The free provider has no calendar. Seconds and minutes begin at multiples of their length in every time zone. */
function windowOf(policy: Extract<LimitedPolicy, { policy: 'fixed-window' }>): { windowMs: number; anchor: string } {
  if (!('every' in policy)) return { windowMs: policy.windowMs, anchor: policy.anchor };
  if (policy.every === 'second' || policy.every === 'minute') return { windowMs: periodMsOf(policy), anchor: 'clock' };
  throw new TypeError('the free provider has no calendar');
}

function settingsOf(policy: LimitedPolicy): NodeJS.ProcessEnv {
  const FREE_LIMIT = String(limitOf(policy));
  switch (policy.policy) {
    case 'count-then-block':
      return { FREE_LIMIT, FREE_BLOCK_MS: String(policy.blockMs), FREE_STARTS_AT: policy.startsAt };
    case 'fixed-window':
      return { FREE_LIMIT, FREE_WINDOW_MS: String(windowOf(policy).windowMs), FREE_ANCHOR: windowOf(policy).anchor };
    case 'sliding-window':
      return { FREE_LIMIT, FREE_WINDOW_MS: String(policy.windowMs) };
    case 'concurrency':
      throw new TypeError('the free provider limits concurrency beside another limit only');
    default:
      return { FREE_LIMIT, FREE_REFILL_PER_SECOND: String(policy.refillPerSecond) };
  }
}

/**
 * The free provider's own counting code, in its first state. It counts by any clock. Who sends in no time has nothing in
 * flight: concurrency does not limit the possible.
 */
export function admissionOf(limits: readonly ProviderLimit[]): Admission {
  const ofTime = limits.filter(({ policy }) => policy.policy !== 'concurrency');
  return chooseAdmission(freeProviderSettings.parse(providerEnv(ofTime)));
}
