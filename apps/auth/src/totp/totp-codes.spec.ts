import { describe, expect, it } from '@jest/globals';
import { newTotpSecret, stepOfCode, totpUri } from './totp-codes.js';

/** The secret and a code of RFC 6238, appendix B, shortened to 6 digits: at 59 s, SHA-1. */
const RFC_SECRET = 'GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ';
const RFC_CODE = '287082';

describe('one-time codes', () => {
  it.each([
    [59_000, 1],
    [29_000, 1],
    [89_000, 1],
    [90_000, undefined],
  ])('are accepted within one step: at %d ms the step is %s', (nowMs, step) => {
    expect(stepOfCode(RFC_SECRET, RFC_CODE, nowMs)).toBe(step);
  });

  it('have secrets of 160 bits, and a URI with issuer and account', () => {
    const secret = newTotpSecret();
    expect(secret).toMatch(/^[A-Z2-7]{32}$/);
    expect(newTotpSecret()).not.toBe(secret);
    expect(totpUri(secret, 'a@example.com')).toContain(
      `otpauth://totp/Octo:a%40example.com?issuer=Octo&secret=${secret}`,
    );
  });
});
