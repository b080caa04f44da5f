/** Of a providers file. */
export interface ProviderEntry {
  name: string;
  url: string;
  priceMicros: number;
  quota?: object;
}

/** As large as a quota can be that never blocks while something else is measured. */
export const LIMIT_MAX = 1_000_000_000;
const HOUR_MS = 3_600_000;

/** A free quota that never ends, which the provider announces. */
export function openQuota(provider: string, name: string): ProviderEntry {
  return { name, url: `${provider}/free/${name}/messages`, priceMicros: 0, quota: countThenBlock(LIMIT_MAX) };
}

/** One that is spent after a first message, for as long as anything is measured. */
export function spentQuota(provider: string, name: string): ProviderEntry {
  return { name, url: `${provider}/paid/messages`, priceMicros: 0, quota: countThenBlock(1) };
}

export function paid(provider: string): ProviderEntry {
  return { name: 'paid', url: `${provider}/paid/messages`, priceMicros: 2_500 };
}

export function countThenBlock(limit: number, blockMs = HOUR_MS): object {
  return { policy: 'count-then-block', limit, blockMs, startsAt: 'last-accept' };
}
