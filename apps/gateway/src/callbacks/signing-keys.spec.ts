import { describe, expect, it } from '@jest/globals';
import { randomBytes, randomUUID } from 'node:crypto';
import { accountKey } from '#callback-secrets';
import { signingKeys } from './signing-keys.js';

const DEPLOYMENT = [randomBytes(32), randomBytes(32)];
const MASTERS = [randomBytes(32), randomBytes(32)];
const settings = { CALLBACK_SECRETS: DEPLOYMENT, CALLBACK_MASTER_SECRETS: MASTERS };
const accountId = randomUUID();
const keysOf = (version: number) => MASTERS.map((master) => accountKey(master, { accountId, version }));

describe('signingKeys', () => {
  it('are those of the deployment for an account without a secret of its own', () => {
    expect(signingKeys({ accountId, secretVersions: [0] }, settings)).toEqual(DEPLOYMENT);
    expect(signingKeys({ accountId, secretVersions: [0] }, { ...settings, CALLBACK_MASTER_SECRETS: [] })).toEqual(
      DEPLOYMENT,
    );
  });

  it('are those of the account, current version first, of every master key', () => {
    expect(signingKeys({ accountId, secretVersions: [4] }, settings)).toEqual(keysOf(4));
    expect(signingKeys({ accountId, secretVersions: [4, 3] }, settings)).toEqual([...keysOf(4), ...keysOf(3)]);
  });

  it('include those of the deployment in the overlap after the first secret', () => {
    expect(signingKeys({ accountId, secretVersions: [1, 0] }, settings)).toEqual([...keysOf(1), ...DEPLOYMENT]);
  });

  it.each([[[2]], [[2, 1]], [[1, 0]]])('are none for the versions %j without a master key', (secretVersions) => {
    expect(signingKeys({ accountId, secretVersions }, { ...settings, CALLBACK_MASTER_SECRETS: [] })).toEqual([]);
  });
});
