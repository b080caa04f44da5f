import type { Admission } from '#reference-provider';

export interface Request {
  /** In milliseconds, on the provider's clock. */
  atMs: number;
  /** Somebody else's: it takes its share of the quota and is not counted as ours. */
  isForeign?: boolean;
}

/**
 * How many of these requests a sender could have had accepted that knows everything and reaches the provider in no
 * time: they are put to the provider's own policy at the moment they come. Nobody does better: a slot that is not
 * used at once is never worth more later.
 * @param admission as the provider stands before the first request
 * @returns when each of ours was accepted
 */
export function clairvoyantAccepts(
  admission: Pick<Admission, 'decide'>,
  requests: readonly Request[],
): { atMs: number }[] {
  return requests
    .toSorted((one, other) => one.atMs - other.atMs)
    .filter(({ atMs, isForeign }) => admission.decide(atMs).accepted && isForeign !== true)
    .map(({ atMs }) => ({ atMs }));
}
