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

/** What a message costs where it may not go free; 0 if nothing can be paid for, or if there is no such channel any longer. */
export function cheapestPaidMicros(channel: { readonly providers: readonly Provider[] } | undefined): number {
  // In price order.
  return channel?.providers.find((provider) => !isFree(provider))?.priceMicros ?? 0;
}

export function isFree({ priceMicros }: Provider): boolean {
  return priceMicros === 0;
}
