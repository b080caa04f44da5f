/** One provider in a gateway's providers file. */
export interface ProviderEntry {
  name: string;
  url: string;
  priceMicros: number;
  quota?: object;
}

/** The largest limit: it never blocks while something else is measured. */
export const LIMIT_MAX = 1_000_000_000;
const HOUR_MS = 3_600_000;

/** A free quota that never ends. The provider announces it. */
export function openQuota(provider: string, name: string): ProviderEntry {
  return { name, url: `${provider}/free/${name}/messages`, priceMicros: 0, quota: countThenBlock(LIMIT_MAX) };
}

/** A quota that its first message uses up for the whole measurement. */
export function spentQuota(provider: string, name: string): ProviderEntry {
  return { name, url: `${provider}/paid/messages`, priceMicros: 0, quota: countThenBlock(1) };
}

export function paid(provider: string): ProviderEntry {
  return { name: 'paid', url: `${provider}/paid/messages`, priceMicros: 2_500 };
}

function countThenBlock(limit: number): object {
  return { policy: 'count-then-block', limit, blockMs: HOUR_MS, startsAt: 'last-accept' };
}
