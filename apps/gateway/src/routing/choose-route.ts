import type { Provider } from '../providers/providers-file.js';

/**
 * The providers a message may use, in the order to try: cheapest first. A provider that costs money needs paid access
 * and a message that does not forbid it.
 */
export function chooseRoute({
  providers,
  mayPay,
}: {
  /** In price order. */
  providers: readonly Provider[];
  mayPay: boolean;
}): readonly Provider[] {
  return mayPay ? providers : providers.filter(isFree);
}

export function isFree({ priceMicros }: Provider): boolean {
  return priceMicros === 0;
}
