import { isPlaceOf, type Message } from '../message.js';
import type { Provider } from '../providers/providers-file.js';

/** Added to the timeouts of all providers, which one message may use one after the other. */
const CLAIM_MARGIN_MS = 5_000;
/** A paid send takes the provider's timeout at worst and usually far less: the rest of the time is for free quota. */
const TIME_TO_PAY_MAX_MS = 2_000;

/** How long a pod may work on a message, in milliseconds. Other pods believe it dead after that. */
export function claimMsOf(providers: readonly Provider[]): number {
  return providers.reduce((sum, { timeoutMs }) => sum + timeoutMs, CLAIM_MARGIN_MS);
}

/**
 * The moment from which a waiting message is paid for if it may be. One that may not be paid for would be lost at its
 * deadline. So its moment is half of its time: from then on it goes before messages that have more time.
 */
export function lastSafeMoment({
  message: { createdAt, deliverBy, mayPay },
  providers,
}: {
  message: Pick<Message, 'createdAt' | 'deliverBy' | 'mayPay'>;
  providers: readonly Provider[];
}): Date {
  if (deliverBy === undefined) return createdAt;
  if (!mayPay) return new Date((createdAt.getTime() + deliverBy.getTime()) / 2);
  const slowestMs = Math.max(...providers.map(({ timeoutMs }) => timeoutMs));
  return new Date(deliverBy.getTime() - Math.min(slowestMs, TIME_TO_PAY_MAX_MS));
}

/** The last safe moment of a waiting message has come, and it may be paid for. */
export function isToBePaid({ mayPay, sendBy }: Pick<Message, 'mayPay' | 'sendBy'>, nowMs: number): boolean {
  return mayPay && sendBy !== undefined && sendBy.getTime() <= nowMs;
}

/** Near the deadline, providers that have failed the message come last: another answer may take all the time that is left. */
export function routeNearDeadline(
  { deliverBy, hops }: Pick<Message, 'deliverBy' | 'hops'>,
  route: readonly Provider[],
  nowMs: number,
): readonly Provider[] {
  if (deliverBy === undefined || deliverBy.getTime() - nowMs > TIME_TO_PAY_MAX_MS) return route;
  const answered = hops.filter(({ step, outcome }) => step === 'answered' && outcome !== 'refused');
  const hasFailed = (provider: Provider): boolean => answered.some((hop) => isPlaceOf(hop, provider));
  return [...route.filter((provider) => !hasFailed(provider)), ...route.filter(hasFailed)];
}
