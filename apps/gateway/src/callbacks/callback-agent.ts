import { type LookupAddress, lookup as systemLookup, type LookupOptions } from 'node:dns';
import { isIP } from 'node:net';
import { Agent, buildConnector } from 'undici';
import { isAllowedAddress } from './is-allowed-address.js';

/** Longest wait for a connection, TLS included. */
const CONNECT_TIMEOUT_MS = 5_000;

/** The connection was not made: it would have led where callbacks must not go. */
export class AddressRefusedError extends Error {
  override name = 'AddressRefusedError';
  readonly code = 'ADDRESS_REFUSED';

  constructor() {
    super('leads to a private or reserved address');
  }
}

type Found = (error: Error | null, addresses: LookupAddress[]) => void;
export type Lookup = (hostname: string, options: LookupOptions & { all: true }, found: Found) => void;

/**
 * Connects only to addresses callbacks may reach. What is checked is what is connected to, so a name that resolves to
 * something else a moment later gains nothing.
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
    lookup: (hostname, options, found) => {
      lookup(hostname, { ...options, all: true }, (error, addresses) => {
        if (error !== null) return found(error, []);
        const allowed = addresses.filter(({ address }) => isAllowedAddress(address, { allowPrivate }));
        const [first] = allowed;
        if (first === undefined) return found(new AddressRefusedError(), []);
        return options.all === true ? found(null, allowed) : found(null, first.address, first.family);
      });
    },
  });
  return new Agent({
    connect: (options, connected) => {
      // Nobody looks up what is an address already.
      if (isIP(options.hostname) !== 0 && !isAllowedAddress(options.hostname, { allowPrivate })) {
        return connected(new AddressRefusedError(), null);
      }
      return connect(options, connected);
    },
  });
}
