import { isIPv6 } from 'node:net';

/** Hextets of the network part of an IPv6 address: one subscriber usually has a whole /64. */
const NETWORK_HEXTETS = 4;

/** What an address is limited by: an IPv4 address itself, also when it is mapped into IPv6; the /64 of an IPv6 address. */
export function networkOf(address: string): string {
  const [unscoped = ''] = address.split('%', 1);
  if (!isIPv6(unscoped)) return address;
  const hextets = hextetsOf(unscoped);
  const [high = 0, low = 0] = hextets.slice(6);
  const isMapped = hextets.slice(0, 5).every((hextet) => hextet === 0) && hextets[5] === 0xffff;
  if (isMapped) return [high >> 8, high & 0xff, low >> 8, low & 0xff].join('.');
  const network = hextets.slice(0, NETWORK_HEXTETS).map((hextet) => hextet.toString(16));
  return `${network.join(':')}::/64`;
}

/** All eight. The URL parser writes every form of an address in one way: lower case, no dots, one `::`. */
function hextetsOf(address: string): number[] {
  const [head = '', tail] = new URL(`http://[${address}]`).hostname.slice(1, -1).split('::');
  const parse = (part: string): number[] => (part === '' ? [] : part.split(':').map((hextet) => parseInt(hextet, 16)));
  if (tail === undefined) return parse(head);
  const [left, right] = [parse(head), parse(tail)];
  return [...left, ...Array.from({ length: 8 - left.length - right.length }, () => 0), ...right];
}
