import type { Admission } from '#reference-provider';
import { type LimitedPolicy, limitOf } from '#quota';
import { chooseAdmission } from '../../../apps/free-provider/src/choose-admission.js';
import { freeProviderSettings } from '../../../apps/free-provider/src/free-provider.settings.js';

/** Settings of a free provider that counts by this policy. */
export function providerEnv(policy: LimitedPolicy, { announces }: { announces: boolean }): NodeJS.ProcessEnv {
  return { ...settingsOf(policy), FREE_POLICY: policy.policy, FREE_RATELIMIT_HEADERS: String(announces) };
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
      throw new TypeError('the free provider does not limit concurrency');
    default:
      return { FREE_LIMIT, FREE_REFILL_PER_SECOND: String(policy.refillPerSecond) };
  }
}

/** The free provider's own counting code, in its first state. It counts by any clock. */
export function admissionOf(policy: LimitedPolicy): Admission {
  return chooseAdmission(freeProviderSettings.parse(providerEnv(policy, { announces: false })));
}
