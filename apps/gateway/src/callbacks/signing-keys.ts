import { accountKey } from '#callback-secrets';
import type { CallbackSettings } from './callback-settings.js';

/** In the place of a version: the secrets of the deployment, which sign before an account has a secret of its own. */
export const DEPLOYMENT_VERSION = 0;

export interface CallbackSigner {
  accountId: string;
  /** Versions of the secrets that sign, current first. */
  secretVersions: readonly number[];
}

/**
 * The keys that sign a callback. Empty when a master key is missing: the secrets of the deployment never stand in for
 * the account's own, because other receivers know them.
 */
export function signingKeys(
  { accountId, secretVersions }: CallbackSigner,
  settings: Pick<CallbackSettings, 'CALLBACK_SECRETS' | 'CALLBACK_MASTER_SECRETS'>,
): Buffer[] {
  const { CALLBACK_SECRETS, CALLBACK_MASTER_SECRETS: masters } = settings;
  if (masters.length === 0 && secretVersions.some((version) => version !== DEPLOYMENT_VERSION)) return [];
  return secretVersions.flatMap((version) =>
    version === DEPLOYMENT_VERSION
      ? CALLBACK_SECRETS
      : masters.map((master) => accountKey(master, { accountId, version })),
  );
}
