import type { QuotaOptions } from '#quota';
import type { Provider } from '../providers/providers-file.js';

/** One quota for each account; providers that share an account have the same one. */
export function quotasOf(providers: readonly Provider[]): QuotaOptions['providers'] {
  const accounts = new Map(providers.map((provider) => [provider.account, provider]));
  return [...accounts.values()].flatMap(({ account, quota: policy }) => {
    const sharing = providers.filter((other) => other.account === account);
    // A permit must outlive the answer of the slowest of them.
    const timeoutMs = Math.max(...sharing.map((other) => other.timeoutMs));
    return policy === undefined ? [] : [{ name: account, policy, timeoutMs }];
  });
}
