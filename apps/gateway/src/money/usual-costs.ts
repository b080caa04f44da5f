import type { Provider } from '../providers/providers-file.js';
import { accountKeyOf } from './ledger-entries.js';

/** How many of the latest costs of a provider are remembered. */
const REMEMBERED = 20;

/**
 * What a message will cost: the price in the providers file, or more if recent messages cost more. So a price that is too
 * low does not let many messages in flight exceed a budget together.
 */
export class UsualCosts {
  private readonly costs = new Map<string, number[]>();

  note({ provider, account, micros }: { provider: string; account: string; micros: number }): void {
    const key = accountKeyOf(provider, account);
    const costs = this.costs.get(key) ?? [];
    costs.push(micros);
    if (costs.length > REMEMBERED) costs.shift();
    this.costs.set(key, costs);
  }

  /** In micros. */
  estimate({ name, account, priceMicros }: Pick<Provider, 'name' | 'account' | 'priceMicros'>): number {
    return Math.max(priceMicros, ...(this.costs.get(accountKeyOf(name, account)) ?? []));
  }
}
