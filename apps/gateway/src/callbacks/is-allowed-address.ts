import { BlockList, isIPv4 } from 'node:net';

/** The pod's own machine and network; a setting allows them. */
const PRIVATE_RANGES = [
  '10.0.0.0/8',
  '100.64.0.0/10', // shared by carriers (RFC 6598), and by some clusters for their pods
  '127.0.0.0/8',
  '172.16.0.0/12',
  '192.168.0.0/16',
  '::1/128',
  'fc00::/7',
];

/** Never the address of a receiver: link-local (cloud metadata), multicast, documentation, reserved (RFC 6890). */
const NEVER_RANGES = [
  '0.0.0.0/8',
  '169.254.0.0/16',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.88.99.0/24',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/4',
  '240.0.0.0/4',
  '2001::/23',
  '2001:db8::/32',
  '2002::/16', // 6to4 embeds any IPv4 address
  '3fff::/20',
];

/** An allow list: global unicast is a small part of IPv6. */
const GLOBAL_IPV6_RANGES = ['2000::/3'];

/** Prefixes of IPv6 addresses that embed an IPv4 address and lead there: IPv4-mapped, and NAT64 (RFC 6052). */
const IPV4_PREFIXES = ['::ffff:', '64:ff9b::'];
const IPV4_PREFIX_BITS = 96;

const PRIVATE = listOf(PRIVATE_RANGES);
const NEVER = listOf(NEVER_RANGES);
const GLOBAL = listOf([...GLOBAL_IPV6_RANGES, '0.0.0.0/0']);

/** Whether a callback may be sent to an IP address. */
export function isAllowedAddress(address: string, { allowPrivate }: { allowPrivate: boolean }): boolean {
  // A zone, as in fe80::1%eth0, is not part of the address.
  const [bare = ''] = address.split('%', 1);
  const family = isIPv4(bare) ? 'ipv4' : 'ipv6';
  if (PRIVATE.check(bare, family)) return allowPrivate;
  return GLOBAL.check(bare, family) && !NEVER.check(bare, family);
}

function listOf(ranges: readonly string[]): BlockList {
  const list = new BlockList();
  for (const range of ranges) {
    const [net = '', prefix] = range.split('/');
    const bits = Number(prefix);
    list.addSubnet(net, bits, isIPv4(net) ? 'ipv4' : 'ipv6');
    if (!isIPv4(net)) continue;
    for (const before of IPV4_PREFIXES) list.addSubnet(`${before}${net}`, IPV4_PREFIX_BITS + bits, 'ipv6');
  }
  return list;
}
