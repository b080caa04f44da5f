import type { Provider } from '../providers/providers-file.js';

/**
 * Whom a message may be sent to, in the order to try: cheapest first. Whatever costs money needs paid access and a
 * message that does not forbid it.
 */
export function chooseRoute({
  providers,
  mayPay,
}: {
  /** In price order. */
  providers: readonly Provider[];
  mayPay: boolean;
}): readonly Provider[] {
  return mayPay ? providers : providers.filter(({ priceMicros }) => priceMicros === 0);
}
