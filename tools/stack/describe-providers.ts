import { type LimitedPolicy, REQUESTS } from '#quota';
import type { Provider } from '../../apps/gateway/src/providers/providers-file.js';

export type DescribedProvider = Pick<Provider, 'key' | 'priceMicros' | 'currency' | 'quotas'>;

/** One row for each provider account: name, price of a message, quota. */
export function describeProviders(providers: readonly DescribedProvider[]): string[] {
  const rows = providers.map(({ key, priceMicros, currency, quotas }) => ({
    name: key,
    price: priceMicros === 0 ? 'free of charge' : `${priceMicros / 1_000_000} ${currency}`,
    quota: quotas.length === 0 ? 'no quota' : quotas.map(({ policy, unit }) => describeQuota(policy, unit)).join('; '),
  }));
  const nameWidth = Math.max(...rows.map(({ name }) => name.length));
  return rows.map(({ name, price, quota }) => `${name.padEnd(nameWidth)}   ${price.padEnd(14)}   ${quota}`);
}

function describeQuota(quota: LimitedPolicy, unit: string): string {
  const what = unit === REQUESTS ? 'messages' : unit;
  if (quota.policy === 'count-then-block') {
    const { limit, blockMs, startsAt } = quota;
    if (startsAt === 'last-accept') return `${limit} ${what}, then blocked for ${duration(blockMs)}`;
    return `${limit} ${what}; the first refusal starts a block of ${duration(blockMs)}`;
  }
  if (quota.policy === 'fixed-window') {
    if ('every' in quota) return `${quota.limit} ${what} every ${quota.every}, in ${quota.timeZone}`;
    const start = quota.anchor === 'clock' ? 'the clock' : 'its first message';
    return `${quota.limit} ${what} in each window of ${duration(quota.windowMs)}, started by ${start}`;
  }
  if (quota.policy === 'sliding-window') return `${quota.limit} ${what} in any ${duration(quota.windowMs)}`;
  if (quota.policy === 'concurrency') return `${quota.limit} ${what} at once`;
  return `${quota.capacity} ${what} at once, then ${quota.refillPerSecond} per second`;
}

const UNITS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['min', 60_000],
] as const;

function duration(ms: number): string {
  const [unit, unitMs] = UNITS.find(([, candidateMs]) => ms % candidateMs === 0) ?? ['s', 1_000];
  return `${ms / unitMs} ${unit}`;
}
