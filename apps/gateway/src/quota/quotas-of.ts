import type { ProviderOptions } from '#quota';
import type { Provider } from '../providers/providers-file.js';

/** The quotas of each account; providers that share an account have the same ones. */
export function quotasOf(providers: readonly Provider[]): ProviderOptions[] {
  const accounts = new Map(providers.map((provider) => [provider.account, provider]));
  return [...accounts.values()].flatMap(({ account, quotas }): ProviderOptions[] => {
    const sharing = providers.filter((other) => other.account === account);
    // A permit must outlive the answer of the slowest of them.
    const timeoutMs = Math.max(...sharing.map((other) => other.timeoutMs));
    const [only] = quotas;
    if (only === undefined) return [];
    if (only.name === undefined) return [{ name: account, policy: only.policy, timeoutMs }];
    const named = quotas.map(({ name = '', policy, unit }) => ({ name, policy, unit }));
    return [{ name: account, quotas: named, timeoutMs }];
  });
}
