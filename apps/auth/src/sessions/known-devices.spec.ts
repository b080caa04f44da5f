import { generateKeyPairSync } from 'node:crypto';
import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { KNOWN_DEVICE_TTL_MS, KnownDevices } from './known-devices.js';

const newKey = () => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
const account = { email: 'a@example.com', passwordHash: '$argon2id$1' };

describe('KnownDevices', () => {
  afterEach(() => {
    jest.useRealTimers();
  });

  it('recognizes a device, which keeps its id at the next login', () => {
    const devices = new KnownDevices(newKey());
    const id = devices.idOf(devices.remember(account), account);
    expect(id).toMatch(/^[\w-]{36}$/);
    expect(devices.idOf(devices.remember(account, id), account)).toBe(id);
  });

  it('does not recognize a device of another account, nor one from before the password changed', () => {
    const devices = new KnownDevices(newKey());
    const cookie = devices.remember(account);
    expect(devices.idOf(cookie, { ...account, email: 'b@example.com' })).toBeUndefined();
    expect(devices.idOf(cookie, { ...account, passwordHash: '$argon2id$2' })).toBeUndefined();
  });

  it('does not recognize a cookie that was forged, altered or signed with another key', () => {
    const devices = new KnownDevices(newKey());
    const [id = '', seconds = '', mac = ''] = devices.remember(account).split('.');
    const forged = [
      `${id}.${Number(seconds) + 1}.${mac}`,
      `${id}.${seconds}.${'A'.repeat(43)}`,
      `${id}.${seconds}.`,
      'x',
      new KnownDevices(newKey()).remember(account),
    ];
    expect(forged.map((cookie) => devices.idOf(cookie, account))).toEqual(forged.map(() => undefined));
  });

  it('forgets a device a year after its last login', () => {
    jest.useFakeTimers({ now: Date.now() });
    const devices = new KnownDevices(newKey());
    const cookie = devices.remember(account);
    jest.advanceTimersByTime(KNOWN_DEVICE_TTL_MS + 1_000);
    expect(devices.idOf(cookie, account)).toBeUndefined();
  });
});
