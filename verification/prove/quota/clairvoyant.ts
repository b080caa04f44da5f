import type { Admission } from '#reference-provider';

export interface Request {
  /** In milliseconds, by the provider's clock. */
  atMs: number;
  /** Sent by another client: it uses quota and does not count as ours. */
  isForeign?: boolean;
  /** Of its message, for quotas of tokens. */
  tokens?: number | undefined;
}

interface InFlight {
  atOnce: number;
  answerMs: number;
}

/**
 * The most that any sender could get accepted of these requests: one that knows all of them and reaches the provider in
 * no time. Each request is put to the provider's own policy at the moment it arrives; a slot that stays unused then is
 * never worth more later.
 * @param admission the provider's state before the first request
 * @param inFlight how many requests the provider takes at once, and how long an answer takes
 * @returns when each of our requests was accepted
 */
export function clairvoyantAccepts(
  admission: Pick<Admission, 'decide'>,
  requests: readonly Request[],
  { atOnce, answerMs }: InFlight = { atOnce: Infinity, answerMs: 0 },
): { atMs: number }[] {
  const acceptedMs: number[] = [];
  const hasRoom = (nowMs: number): boolean => !(nowMs < (acceptedMs.at(-atOnce) ?? -Infinity) + answerMs);
  return requests
    .toSorted((one, other) => one.atMs - other.atMs)
    .filter(({ atMs, isForeign, tokens }) => {
      if (!hasRoom(atMs) || !admission.decide(atMs, tokens).accepted) return false;
      acceptedMs.push(atMs);
      return isForeign !== true;
    })
    .map(({ atMs }) => ({ atMs }));
}
