import { type LookupAddress, lookup as systemLookup, type LookupOptions } from 'node:dns';
import { isIP } from 'node:net';
import { Agent, buildConnector } from 'undici';
import { isAllowedAddress } from './is-allowed-address.js';

/** Includes the TLS handshake. */
const CONNECT_TIMEOUT_MS = 5_000;

/** No connection was made: callbacks must not go to the address. */
export class AddressRefusedError extends Error {
  override name = 'AddressRefusedError';
  readonly code = 'ADDRESS_REFUSED';

  constructor() {
    super('leads to a private or reserved address');
  }
}

type Resolved = (error: Error | null, addresses: LookupAddress[]) => void;
export type Lookup = (hostname: string, options: LookupOptions & { all: true }, resolved: Resolved) => void;

/**
 * Connects only to addresses that callbacks may reach. The agent checks the address it connects to, for every connection:
 * a host name that later resolves to another address does not get around the check (DNS rebinding).
 */
export function callbackAgent({
  allowPrivate,
  lookup = systemLookup,
}: {
  allowPrivate: boolean;
  lookup?: Lookup;
}): Agent {
  const connect = buildConnector({
    timeout: CONNECT_TIMEOUT_MS,
    lookup: (hostname, options, resolved) => {
      lookup(hostname, { ...options, all: true }, (error, addresses) => {
        if (error !== null) return resolved(error, []);
        const allowed = addresses.filter(({ address }) => isAllowedAddress(address, { allowPrivate }));
        const [first] = allowed;
        if (first === undefined) return resolved(new AddressRefusedError(), []);
        return options.all === true ? resolved(null, allowed) : resolved(null, first.address, first.family);
      });
    },
  });
  return new Agent({
    connect: (options, connected) => {
      // An IP address is not looked up, so the check above does not see it.
      if (isIP(options.hostname) !== 0 && !isAllowedAddress(options.hostname, { allowPrivate })) {
        return connected(new AddressRefusedError(), null);
      }
      return connect(options, connected);
    },
  });
}
