import { createHmac, generateKeyPairSync, type KeyObject, randomUUID, sign } from 'node:crypto';
import { describe, expect, it, jest } from '@jest/globals';
import { AccessTokenSigner } from './access-token.signer.js';
import {
  AccessTokenVerifier,
  KeysUnavailable,
  type Verification,
  type VerifierOptions,
} from './access-token.verifier.js';
import { newApiKey } from './api-key.js';
import type { Caller } from './claims.js';
import { keyIdOf, publicKeysOf } from './jwk.js';
import type { RevocationListener, SessionState } from './revocations.js';

const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const issued = { issuer: 'octo', audience: 'octo' };
const REFUSED = { outcome: 'refused', reason: 'invalid' };

/** Stands in for Redis and Postgres. */
class KnownRevocations {
  state: SessionState = 'live';
  trustedUntil = Number.POSITIVE_INFINITY;
  lookups = 0;
  listener: RevocationListener | undefined;

  listen(listener: RevocationListener): void {
    this.listener = listener;
  }

  async stateOf(): Promise<SessionState> {
    this.lookups += 1;
    return this.state;
  }
}

function verifierWith(options: Partial<VerifierOptions> = {}) {
  const revocations = new KnownRevocations();
  const keys = publicKeysOf([publicKey]);
  const apiKeys = { verify: async () => ({ outcome: 'refused', reason: 'invalid' }) as const };
  const defaults = { ...issued, keys, revocations, apiKeys, whenRedisDown: 'accept' } as const;
  return { verifier: new AccessTokenVerifier({ ...defaults, ...options }), revocations };
}

function tokenFor(
  claims: { sid?: string; role?: 'user' | 'admin' } = {},
  options: Partial<{ privateKey: KeyObject; issuer: string }> = {},
) {
  const signer = new AccessTokenSigner({ privateKey, ...issued, ...options });
  return signer.sign({ sub: randomUUID(), sid: randomUUID(), paidAccess: true, role: 'user', ...claims });
}

const encode = (part: object): string => Buffer.from(JSON.stringify(part)).toString('base64url');

/** A token with any header, claims and signature. */
function forge(header: object, claims: object, signature: (input: string) => string): string {
  const input = `${encode({ typ: 'JWT', kid: keyIdOf(publicKey), ...header })}.${encode(claims)}`;
  return `${input}.${signature(input)}`;
}

const es256 = (input: string): string =>
  sign('sha256', Buffer.from(input), { key: privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url');

const now = (): number => Math.floor(Date.now() / 1000);

const goodClaims = () => ({
  iss: 'octo',
  aud: 'octo',
  sub: randomUUID(),
  sid: randomUUID(),
  jti: randomUUID(),
  iat: now(),
  exp: now() + 60,
  paidAccess: true,
  role: 'admin',
});

describe('AccessTokenVerifier', () => {
  it('returns the caller of a valid token', async () => {
    const sid = randomUUID();
    const { token, expiresAt } = await tokenFor({ sid });
    const verification = await verifierWith().verifier.verify(token);
    expect(verification).toMatchObject({
      outcome: 'valid',
      caller: { sessionId: sid, paidAccess: true, role: 'user', expiresAt },
    });
  });

  it('accepts a forged token of the tests below when it is correct', async () => {
    const token = forge({ alg: 'ES256' }, goodClaims(), es256);
    expect(await verifierWith().verifier.verify(token)).toMatchObject({ outcome: 'valid' });
  });

  it('refuses a token signed by another key under a known key id', async () => {
    const other = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
    const forged = forge({ alg: 'ES256' }, goodClaims(), (input) =>
      sign('sha256', Buffer.from(input), { key: other, dsaEncoding: 'ieee-p1363' }).toString('base64url'),
    );
    expect(await verifierWith().verifier.verify(forged)).toEqual(REFUSED);
  });

  it('refuses a token whose claims were changed', async () => {
    const [header, , signature] = (await tokenFor()).token.split('.');
    const changed = `${header}.${encode(goodClaims())}.${signature}`;
    expect(await verifierWith().verifier.verify(changed)).toEqual(REFUSED);
  });

  it('refuses a token without signature', async () => {
    const { verifier } = verifierWith();
    const none = forge({ alg: 'none' }, goodClaims(), () => '');
    expect(await verifier.verify(none)).toEqual(REFUSED);
    expect(await verifier.verify(none.slice(0, -1))).toEqual(REFUSED);
  });

  it('refuses HS256 with the public key as the secret', async () => {
    const pem = publicKey.export({ type: 'spki', format: 'pem' });
    const confused = forge({ alg: 'HS256' }, goodClaims(), (input) =>
      createHmac('sha256', pem).update(input).digest('base64url'),
    );
    expect(await verifierWith().verifier.verify(confused)).toEqual(REFUSED);
  });

  it.each([
    ['of another issuer', { iss: 'other' }],
    ['for another audience', { aud: 'other' }],
    ['without expiry', { exp: undefined }],
    ['without session', { sid: undefined }],
    ['with an unknown role', { role: 'root' }],
  ])('refuses a token %s', async (_what, change) => {
    const token = forge({ alg: 'ES256' }, { ...goodClaims(), ...change }, es256);
    expect(await verifierWith().verifier.verify(token)).toEqual(REFUSED);
  });

  it.each(['', 'x', 'x.y.z', '..', `${encode({ alg: 'ES256' })}.${encode({})}.x`])('refuses %j', async (nonsense) => {
    expect(await verifierWith().verifier.verify(nonsense)).toEqual(REFUSED);
  });

  it('refuses a token with an unknown key id', async () => {
    const unknown = forge({ alg: 'ES256', kid: 'unknown' }, goodClaims(), es256);
    expect(await verifierWith().verifier.verify(unknown)).toEqual(REFUSED);
  });

  it('is undecided while there are no keys', async () => {
    const keys = { get: () => Promise.reject(new KeysUnavailable()) };
    const verification = await verifierWith({ keys }).verifier.verify((await tokenFor()).token);
    expect(verification).toEqual({ outcome: 'undecided', reason: 'keys' });
  });

  it('refuses an expired token', async () => {
    const token = forge({ alg: 'ES256' }, { ...goodClaims(), exp: now() - 2 }, es256);
    expect(await verifierWith().verifier.verify(token)).toEqual({ outcome: 'refused', reason: 'expired' });
  });

  it('refuses a cached token once it has expired', async () => {
    const { verifier } = verifierWith();
    const { token, expiresAt } = await tokenFor();
    expect(await verifier.verify(token)).toMatchObject({ outcome: 'valid' });
    const clock = jest.spyOn(Date, 'now').mockReturnValue(expiresAt.getTime() + 1_001);
    try {
      expect(await verifier.verify(token)).toEqual({ outcome: 'refused', reason: 'expired' });
    } finally {
      clock.mockRestore();
    }
  });

  it('verifies a token once and caches it', async () => {
    const { verifier, revocations } = verifierWith();
    const { token } = await tokenFor();
    await verifier.verify(token);
    await verifier.verify(token);
    expect(revocations.lookups).toBe(1);
  });

  it('caches no more tokens than its capacity', async () => {
    const { verifier, revocations } = verifierWith({ capacity: 2 });
    const tokens = await Promise.all([1, 2, 3].map(async () => (await tokenFor()).token));
    const [first = ''] = tokens;
    for (const token of [...tokens, first]) await verifier.verify(token); // oxlint-disable-line no-await-in-loop -- order matters
    expect(revocations.lookups).toBe(4);
  });

  describe('with revocations', () => {
    it('refuses a token of a revoked session', async () => {
      const { verifier, revocations } = verifierWith();
      revocations.state = 'revoked';
      const verification = await verifier.verify((await tokenFor()).token);
      expect(verification).toEqual({ outcome: 'refused', reason: 'revoked' });
    });

    it('refuses a cached token as soon as its revocation arrives', async () => {
      const { verifier, revocations } = verifierWith();
      const sid = randomUUID();
      const { token } = await tokenFor({ sid });
      await verifier.verify(token);
      revocations.state = 'revoked';
      expect(await verifier.verify(token)).toMatchObject({ outcome: 'valid' });
      revocations.listener?.revoked([sid]);
      expect(await verifier.verify(token)).toEqual({ outcome: 'refused', reason: 'revoked' });
    });

    it('looks every token up again after revocations may have been missed', async () => {
      const { verifier, revocations } = verifierWith();
      const { token } = await tokenFor();
      await verifier.verify(token);
      revocations.state = 'revoked';
      revocations.listener?.mayHaveMissed();
      expect(await verifier.verify(token)).toEqual({ outcome: 'refused', reason: 'revoked' });
    });

    it('looks a token up for each request while it does not trust its subscription', async () => {
      const { verifier, revocations } = verifierWith();
      revocations.trustedUntil = 0;
      const { token } = await tokenFor();
      await verifier.verify(token);
      revocations.state = 'revoked';
      expect(await verifier.verify(token)).toEqual({ outcome: 'refused', reason: 'revoked' });
    });

    it('does not cache a token that was revoked during its verification', async () => {
      const { verifier, revocations } = verifierWith();
      const sid = randomUUID();
      const { token } = await tokenFor({ sid });
      revocations.stateOf = async () => {
        revocations.listener?.revoked([sid]);
        return 'live';
      };
      await verifier.verify(token);
      revocations.stateOf = async () => 'revoked';
      expect(await verifier.verify(token)).toEqual({ outcome: 'refused', reason: 'revoked' });
    });

    it('looks a confirmed token up again when the trust in the subscription has ended', async () => {
      const { verifier, revocations } = verifierWith();
      const { token } = await tokenFor();
      await verifier.verify(token);
      revocations.state = 'revoked';
      revocations.trustedUntil = Date.now();
      expect(await verifier.verify(token)).toEqual({ outcome: 'refused', reason: 'revoked' });
    });

    it('is undecided when the answer is late, whatever whenRedisDown says', async () => {
      const { token } = await tokenFor();
      const { verifier, revocations } = verifierWith({ whenRedisDown: 'accept' });
      revocations.state = 'late';
      expect(await verifier.verify(token)).toEqual({ outcome: 'undecided', reason: 'revocations' });
    });

    it('with whenRedisDown accept, accepts a user without paid access while no store can be asked', async () => {
      const { token } = await tokenFor();
      const { verifier, revocations } = verifierWith({ whenRedisDown: 'accept' });
      revocations.state = 'unknown';
      expect(await verifier.verify(token)).toMatchObject({ outcome: 'valid', caller: { paidAccess: false } });
      revocations.state = 'live';
      expect(await verifier.verify(token)).toMatchObject({ outcome: 'valid', caller: { paidAccess: true } });
    });

    it('with whenRedisDown accept, is undecided about an admin while no store can be asked', async () => {
      const { token } = await tokenFor({ role: 'admin' });
      const { verifier, revocations } = verifierWith({ whenRedisDown: 'accept' });
      revocations.state = 'unknown';
      expect(await verifier.verify(token)).toEqual({ outcome: 'undecided', reason: 'revocations' });
    });

    it('with whenRedisDown refuse, is undecided while no store can be asked', async () => {
      const { token } = await tokenFor();
      const { verifier, revocations } = verifierWith({ whenRedisDown: 'refuse' });
      revocations.state = 'unknown';
      expect(await verifier.verify(token)).toEqual({ outcome: 'undecided', reason: 'revocations' });
    });

    it('does not cache a token that was accepted while no store could be asked', async () => {
      const { verifier, revocations } = verifierWith();
      const { token } = await tokenFor();
      revocations.state = 'unknown';
      await verifier.verify(token);
      revocations.state = 'revoked';
      expect(await verifier.verify(token)).toEqual({ outcome: 'refused', reason: 'revoked' });
    });
  });

  it('is undecided about more than 2,000 verifications in flight', async () => {
    const { verifier, revocations } = verifierWith();
    const { token } = await tokenFor();
    let answer: (state: SessionState) => void = () => {};
    const answered = new Promise<SessionState>((resolve) => (answer = resolve));
    revocations.stateOf = () => answered;
    const verifications = Array.from({ length: 2_001 }, async () => verifier.verify(token));
    expect(await verifications.pop()).toEqual({ outcome: 'undecided', reason: 'load' });
    answer('live');
    const outcomes = (await Promise.all(verifications)).map(({ outcome }) => outcome);
    expect(new Set(outcomes)).toEqual(new Set(['valid']));
  });

  describe('with API keys', () => {
    const caller: Caller = {
      accountId: randomUUID(),
      paidAccess: false,
      role: 'user',
      credential: 'key',
      sessionId: randomUUID(),
      tokenId: 'key',
      expiresAt: null,
    };

    function keyVerifier() {
      const key = newApiKey();
      const apiKeys = { verify: jest.fn(async (): Promise<Verification> => ({ outcome: 'valid', caller })) };
      return { key, apiKeys, ...verifierWith({ apiKeys }) };
    }

    it('looks a key up once and caches it for 5 s', async () => {
      const { key, apiKeys, verifier } = keyVerifier();
      await verifier.verify(key);
      expect(verifier.verify(key)).toEqual({ outcome: 'valid', caller });
      const clock = jest.spyOn(Date, 'now').mockReturnValue(Date.now() + 5_001);
      try {
        await verifier.verify(key);
      } finally {
        clock.mockRestore();
      }
      expect(apiKeys.verify).toHaveBeenCalledTimes(2);
    });

    it('looks a cached key up again as soon as a change of it arrives', async () => {
      const { key, apiKeys, verifier, revocations } = keyVerifier();
      await verifier.verify(key);
      apiKeys.verify.mockResolvedValue({ outcome: 'refused', reason: 'invalid' });
      revocations.listener?.revoked([caller.sessionId]);
      expect(await verifier.verify(key)).toEqual(REFUSED);
    });

    it('looks a key up for each request while it does not trust its subscription', async () => {
      const { key, apiKeys, verifier, revocations } = keyVerifier();
      revocations.trustedUntil = 0;
      await verifier.verify(key);
      await verifier.verify(key);
      expect(apiKeys.verify).toHaveBeenCalledTimes(2);
    });
  });
});
