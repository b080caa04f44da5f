import { Secret, TOTP } from 'otpauth';

const STEP_S = 30;
/** Clocks of phones may be wrong by one step, before and after. */
const WINDOW_STEPS = 1;

/** A new secret in base32, with the 160 bits that RFC 4226 recommends. */
export function newTotpSecret(): string {
  return new Secret({ size: 20 }).base32;
}

/** URI that authenticator apps read from a QR code. */
export function totpUri(secret: string, email: string): string {
  return totpOf(secret, email).toString();
}

/** The step of a code (RFC 6238) that is valid now, or `undefined`. */
export function stepOfCode(secret: string, code: string, nowMs = Date.now()): number | undefined {
  const delta = totpOf(secret).validate({ token: code, timestamp: nowMs, window: WINDOW_STEPS });
  return delta === null ? undefined : Math.floor(nowMs / 1000 / STEP_S) + delta;
}

function totpOf(secret: string, label = ''): TOTP {
  return new TOTP({ issuer: 'Octo', label, secret: Secret.fromBase32(secret), period: STEP_S });
}
