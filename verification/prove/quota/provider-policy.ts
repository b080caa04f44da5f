import type { Admission } from '#reference-provider';
import { type LimitedPolicy, limitOf } from '#quota';
import { chooseAdmission } from '../../../apps/free-provider/src/choose-admission.js';
import { freeProviderSettings } from '../../../apps/free-provider/src/free-provider.settings.js';

/** Settings of a free provider with these limits. */
export function providerEnv(
  limits: readonly LimitedPolicy[],
  { announces }: { announces: boolean },
): NodeJS.ProcessEnv {
  const [only, ...others] = limits;
  const FREE_RATELIMIT_HEADERS = String(announces);
  if (only !== undefined && others.length === 0)
    return { ...settingsOf(only), FREE_POLICY: only.policy, FREE_RATELIMIT_HEADERS };
  return { FREE_QUOTAS: JSON.stringify(limits.map(quotaOf)), FREE_RATELIMIT_HEADERS };
}

/** `anchor`, `windowMs` and so on have the same names there. */
function quotaOf(policy: LimitedPolicy): object {
  const name = policy.policy;
  if (policy.policy === 'token-bucket')
    return { name, policy: policy.policy, limit: policy.capacity, refillPerSecond: policy.refillPerSecond };
  if (policy.policy !== 'fixed-window') return { name, ...policy };
  if ('every' in policy) throw new TypeError('the free provider has no calendar');
  const { limit, windowMs, anchor } = policy;
  return { name, policy: policy.policy, limit, windowMs, anchor };
}

function settingsOf(policy: LimitedPolicy): NodeJS.ProcessEnv {
  const FREE_LIMIT = String(limitOf(policy));
  switch (policy.policy) {
    case 'count-then-block':
      return { FREE_LIMIT, FREE_BLOCK_MS: String(policy.blockMs), FREE_STARTS_AT: policy.startsAt };
    case 'fixed-window':
      if ('every' in policy) throw new TypeError('the free provider has no calendar');
      return { FREE_LIMIT, FREE_WINDOW_MS: String(policy.windowMs), FREE_ANCHOR: policy.anchor };
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
export function admissionOf(limits: readonly LimitedPolicy[]): Admission {
  const ofTime = limits.filter(({ policy }) => policy !== 'concurrency');
  return chooseAdmission(freeProviderSettings.parse(providerEnv(ofTime, { announces: false })));
}
