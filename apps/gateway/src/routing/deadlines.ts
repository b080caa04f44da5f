import type { ProvidersFile } from '../providers/providers-file.js';

/** Beyond the time-outs of all providers it may be sent to one after the other. */
const MARGIN_MS = 5_000;

/** For how long a pod may work on a message; one that says nothing for longer is believed dead. */
export function claimMsOf({ providers }: Pick<ProvidersFile, 'providers'>): number {
  return providers.reduce((sum, { timeoutMs }) => sum + timeoutMs, MARGIN_MS);
}
