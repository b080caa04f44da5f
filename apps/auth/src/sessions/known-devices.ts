import { createHmac, type KeyObject, randomUUID, timingSafeEqual } from 'node:crypto';
import { deriveKey } from '../signing-keys.js';

/** How long a device is exempt from the limit of its account after its last login. */
export const KNOWN_DEVICE_TTL_MS = 365 * 86_400_000;

/** Id, time of the login in seconds, HMAC. */
const COOKIE = /^([\w-]{36})\.(\d{1,12})\.([\w-]{43})$/;

/** What a device is known for: a changed password makes all devices unknown. */
interface KnownFor {
  email: string;
  passwordHash: string;
}

/**
 * Devices that have logged in to an account before: each holds a signed cookie ("Device Cookies", OWASP). Guesses from
 * elsewhere cannot lock a known device out. The HMAC key is derived from the signing key of access tokens: after a
 * change of that key every device is unknown until its next login.
 */
export class KnownDevices {
  private readonly key: Buffer;

  constructor(signingKey: KeyObject) {
    this.key = deriveKey(signingKey, 'octo known device');
  }

  /** @returns the value of the cookie; a known device keeps its id */
  remember(account: KnownFor, deviceId: string = randomUUID()): string {
    const signed = `${deviceId}.${Math.floor(Date.now() / 1000)}`;
    return `${signed}.${this.macOf(signed, account).toString('base64url')}`;
  }

  /** The id of the device, or `undefined` if it has not logged in to this account with its current password. */
  idOf(cookie: string, account: KnownFor): string | undefined {
    const [, deviceId = '', seconds = '', mac = ''] = COOKIE.exec(cookie) ?? [];
    if (deviceId === '' || Date.now() - Number(seconds) * 1000 > KNOWN_DEVICE_TTL_MS) return undefined;
    const expected = this.macOf(`${deviceId}.${seconds}`, account);
    return timingSafeEqual(expected, Buffer.from(mac, 'base64url')) ? deviceId : undefined;
  }

  private macOf(signed: string, { email, passwordHash }: KnownFor): Buffer {
    return createHmac('sha256', this.key).update(`${signed} ${email} ${passwordHash}`).digest();
  }
}
