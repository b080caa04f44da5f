import { attemptsOf, type Ending, type Message } from '../message.js';
import type { Provider } from '../providers/providers-file.js';

/** What the ledger gets for a message, besides what the message itself says. */
export interface LedgerEntry {
  kind: 'paid' | 'unconfirmed';
  provider: string;
  account: string;
  micros: number;
  /** In the time zone of the budgets, ISO 8601. */
  day: string;
}

const NONE: readonly LedgerEntry[] = [];

/**
 * The entries of a message that has ended: its cost, and the price of each paid send without an answer that can be used,
 * because that provider may have delivered it too.
 */
export function ledgerEntriesOf(
  { hops }: Pick<Message, 'hops'>,
  { ending, providers, day }: { ending: Ending; providers: readonly Provider[]; day: string },
): readonly LedgerEntry[] {
  const paid = ending.status === 'delivered' && ending.costMicros > 0 ? paidEntry(ending, day) : undefined;
  const sends = hops.reduce((count, { step }) => (step === 'sending' ? count + 1 : count), 0);
  const isDeliveredByFirstSend = ending.status === 'delivered' && sends <= 1;
  if (isDeliveredByFirstSend) return paid === undefined ? NONE : [paid];
  const priceOf = new Map(
    providers.map(({ name, account, priceMicros }) => [accountKeyOf(name, account), priceMicros]),
  );
  const entries = new Map(paid && [[accountKeyOf(paid.provider, paid.account), paid]]);
  const isDelivered = (key: string): boolean =>
    ending.status === 'delivered' && key === accountKeyOf(ending.provider, ending.account);
  const add = (provider: string, account: string, micros: number): void => {
    const key = accountKeyOf(provider, account);
    if (micros > 0 && !isDelivered(key)) entries.set(key, { kind: 'unconfirmed', provider, account, micros, day });
  };
  for (const { provider, account = provider, outcome } of attemptsOf(hops)) {
    if (outcome === 'unknown') add(provider, account, priceOf.get(accountKeyOf(provider, account)) ?? 0);
  }
  for (const { provider, account, step, outcome, costMicros = 0 } of hops) {
    if (provider === undefined || step !== 'answered' || outcome !== 'failed') continue;
    add(provider, account ?? provider, costMicros);
  }
  return [...entries.values()];
}

function paidEntry(
  { provider, account, costMicros }: Extract<Ending, { status: 'delivered' }>,
  day: string,
): LedgerEntry {
  return { kind: 'paid', provider, account, micros: costMicros, day };
}

/** Names an account of a provider. */
export function accountKeyOf(provider: string, account: string): string {
  return `${provider}/${account}`;
}
