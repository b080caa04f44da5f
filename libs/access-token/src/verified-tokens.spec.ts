import { describe, expect, it } from '@jest/globals';
import type { Caller } from './claims.js';
import { VerifiedTokens } from './verified-tokens.js';

const callerWith = (sessionId: string): Caller => ({
  accountId: 'account',
  paidAccess: false,
  role: 'user',
  sessionId,
  tokenId: 'token',
  expiresAt: new Date(1000),
});

describe('VerifiedTokens', () => {
  it('drops a token at the moment it expires', () => {
    const tokens = new VerifiedTokens(10);
    tokens.remember('a', callerWith('s'), 1000);
    expect(tokens.get('a', 999)?.sessionId).toBe('s');
    expect(tokens.get('a', 1000)).toBeUndefined();
    expect(tokens.size).toBe(0);
  });

  it('never exceeds its capacity and evicts the oldest token first', () => {
    const tokens = new VerifiedTokens(3);
    for (let index = 0; index < 1000; index += 1) tokens.remember(`t${index}`, callerWith('s'), 1000);
    expect(tokens.size).toBe(3);
    expect(['t996', 't997', 't999'].map((token) => tokens.get(token, 0) !== undefined)).toEqual([false, true, true]);
  });

  it('evicts nothing when a cached token is remembered again', () => {
    const tokens = new VerifiedTokens(2);
    for (const token of ['a', 'b', 'b', 'b']) tokens.remember(token, callerWith('s'), 1000);
    expect(tokens.get('a', 0)).toBeDefined();
  });

  it('drops all tokens of the revoked sessions and no others', () => {
    const tokens = new VerifiedTokens(10);
    tokens.remember('a1', callerWith('a'), 1000);
    tokens.remember('a2', callerWith('a'), 1000);
    tokens.remember('b1', callerWith('b'), 1000);
    tokens.drop(['a', 'unknown']);
    expect(['a1', 'a2', 'b1'].map((token) => tokens.get(token, 0) !== undefined)).toEqual([false, false, true]);
  });

  it('drops a token that was remembered twice, after another token of its session expired', () => {
    const tokens = new VerifiedTokens(10);
    tokens.remember('a1', callerWith('a'), 1000);
    expect(tokens.get('a1', 1000)).toBeUndefined();
    tokens.remember('a2', callerWith('a'), 3000);
    tokens.remember('a2', callerWith('a'), 3000);
    tokens.drop(['a']);
    expect(tokens.size).toBe(0);
  });

  it('changes its revision with each revocation of any session', () => {
    const tokens = new VerifiedTokens(10);
    const { revision } = tokens;
    tokens.drop(['unknown']);
    const next = tokens.revision;
    tokens.dropAll();
    expect(new Set([revision, next, tokens.revision]).size).toBe(3);
  });
});
