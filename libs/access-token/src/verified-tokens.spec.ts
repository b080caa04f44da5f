import { describe, expect, it } from '@jest/globals';
import { type Verified, VerifiedTokens } from './verified-tokens.js';

const tokenOf = (sessionId: string): Verified => ({
  outcome: 'valid',
  caller: {
    accountId: 'account',
    paidAccess: false,
    role: 'user',
    credential: 'session',
    sessionId,
    tokenId: 'token',
    expiresAt: new Date(1000),
  },
});

function confirm(tokens: VerifiedTokens, token: string): void {
  tokens.confirm(token, tokens.revision);
}

describe('VerifiedTokens', () => {
  it('drops a token at the moment it expires', () => {
    const tokens = new VerifiedTokens(10);
    tokens.remember('a', tokenOf('s'), 1000);
    confirm(tokens, 'a');
    expect(tokens.known('a', 999)?.caller.sessionId).toBe('s');
    expect(tokens.confirmed('a', 999)?.caller.sessionId).toBe('s');
    expect(tokens.confirmed('a', 1000)).toBeUndefined();
    expect(tokens.known('a', 1000)).toBeUndefined();
    expect(tokens.size).toBe(0);
  });

  it('never exceeds its capacity and evicts the oldest token first', () => {
    const tokens = new VerifiedTokens(3);
    for (let index = 0; index < 1000; index += 1) tokens.remember(`t${index}`, tokenOf('s'), 1000);
    expect(tokens.size).toBe(3);
    expect(['t996', 't997', 't999'].map((token) => tokens.known(token, 0) !== undefined)).toEqual([false, true, true]);
  });

  it('evicts nothing when a cached token is remembered again', () => {
    const tokens = new VerifiedTokens(2);
    for (const token of ['a', 'b', 'b', 'b']) tokens.remember(token, tokenOf('s'), 1000);
    expect(tokens.known('a', 0)).toBeDefined();
  });

  it('knows a token that is not confirmed, but does not confirm it by itself', () => {
    const tokens = new VerifiedTokens(10);
    tokens.remember('a', tokenOf('s'), 1000);
    expect(tokens.known('a', 0)).toBeDefined();
    expect(tokens.confirmed('a', 0)).toBeUndefined();
  });

  it('does not confirm a token after a revocation during its verification', () => {
    const tokens = new VerifiedTokens(10);
    tokens.remember('a', tokenOf('s'), 1000);
    const { revision } = tokens;
    tokens.unconfirm(['other']);
    tokens.confirm('a', revision);
    expect(tokens.confirmed('a', 0)).toBeUndefined();
  });

  it('unconfirms all tokens of the revoked sessions and no others', () => {
    const tokens = new VerifiedTokens(10);
    for (const token of ['a1', 'a2', 'b1']) {
      tokens.remember(token, tokenOf(token.charAt(0)), 1000);
      confirm(tokens, token);
    }
    tokens.unconfirm(['a', 'unknown']);
    const isConfirmed = ['a1', 'a2', 'b1'].map((token) => tokens.confirmed(token, 0) !== undefined);
    expect(isConfirmed).toEqual([false, false, true]);
    expect(tokens.size).toBe(3);
  });

  it('unconfirms a token that was remembered twice, after another token of its session expired', () => {
    const tokens = new VerifiedTokens(10);
    tokens.remember('a1', tokenOf('a'), 1000);
    expect(tokens.known('a1', 1000)).toBeUndefined();
    tokens.remember('a2', tokenOf('a'), 3000);
    tokens.remember('a2', tokenOf('a'), 3000);
    confirm(tokens, 'a2');
    tokens.unconfirm(['a']);
    expect(tokens.confirmed('a2', 0)).toBeUndefined();
  });

  it('unconfirms every token when revocations may have been missed, and confirms them again', () => {
    const tokens = new VerifiedTokens(10);
    tokens.remember('a', tokenOf('s'), 1000);
    confirm(tokens, 'a');
    tokens.unconfirmAll();
    expect(tokens.confirmed('a', 0)).toBeUndefined();
    confirm(tokens, 'a');
    expect(tokens.confirmed('a', 0)).toBeDefined();
  });

  it('changes its revision with each revocation of any session', () => {
    const tokens = new VerifiedTokens(10);
    const { revision } = tokens;
    tokens.unconfirm(['unknown']);
    const next = tokens.revision;
    tokens.unconfirmAll();
    expect(new Set([revision, next, tokens.revision]).size).toBe(3);
  });
});
