import { describe, expect, it } from '@jest/globals';
import { isAllowedAddress } from './is-allowed-address.js';

const publicAddresses = [
  '1.1.1.1',
  '9.255.255.255',
  '11.0.0.0',
  '100.63.255.255',
  '100.128.0.0',
  '172.15.255.255',
  '172.32.0.0',
  '223.255.255.255',
  '2606:4700:4700::1111',
  '::ffff:1.1.1.1',
  '64:ff9b::1.1.1.1',
];
const privateAddresses = [
  '10.0.0.0',
  '10.255.255.255',
  '100.64.0.1',
  '127.0.0.1',
  '127.255.255.254',
  '172.16.0.1',
  '172.31.255.255',
  '192.168.1.1',
  '::1',
  'fc00::1',
  'fdff::1',
  '::ffff:127.0.0.1',
  '::ffff:7f00:1',
  '::ffff:a00:1',
  '64:ff9b::10.0.0.1',
];
const reservedAddresses = [
  '0.0.0.0',
  '0.1.2.3',
  '169.254.169.254',
  '192.0.0.8',
  '192.0.2.1',
  '198.18.0.1',
  '198.51.100.7',
  '203.0.113.7',
  '224.0.0.1',
  '240.0.0.1',
  '255.255.255.255',
  '::',
  '::127.0.0.1',
  '::ffff:169.254.169.254',
  '::ffff:0:127.0.0.1',
  '64:ff9b::a9fe:a9fe',
  '64:ff9b:1::1',
  '100::1',
  '2001::1',
  '2001:db8::1',
  '2002:7f00:1::1',
  '3fff::1',
  '4000::1',
  'fe80::1',
  'fe80::1%eth0',
  'fec0::1',
  'ff02::1',
];

describe('isAllowedAddress', () => {
  it.each(publicAddresses)('allows the public address %s', (address) => {
    expect(isAllowedAddress(address, { allowPrivate: false })).toBe(true);
    expect(isAllowedAddress(address, { allowPrivate: true })).toBe(true);
  });

  it.each(privateAddresses)('allows the private address %s only if private addresses are allowed', (address) => {
    expect(isAllowedAddress(address, { allowPrivate: false })).toBe(false);
    expect(isAllowedAddress(address, { allowPrivate: true })).toBe(true);
  });

  it.each(reservedAddresses)('never allows the reserved address %s', (address) => {
    expect(isAllowedAddress(address, { allowPrivate: false })).toBe(false);
    expect(isAllowedAddress(address, { allowPrivate: true })).toBe(false);
  });
});
