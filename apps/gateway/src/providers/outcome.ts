/** What became of a request, as `providers.md` has it. */
export type Outcome = 'delivered' | 'refused' | 'rejected' | 'unauthorized' | 'failed' | 'notSent' | 'unknown';

/** Statuses that say that the message itself is wrong. */
const REJECTED = new Set([400, 405, 406, 409, 410, 411, 413, 414, 415, 422]);
/** Statuses that say that the account may not send, if they name no wait. */
const UNAUTHORIZED = new Set([401, 402, 403, 407]);
/** Statuses that refuse for a while, if they name a wait. 420 and 529 are not registered, and in use. */
const REFUSED_WITH_WAIT = new Set([403, 420, 503, 529]);

/**
 * The outcome of an answer that no rule of the providers file matches.
 * @param namesWait whether the answer says how long to stay away
 */
export function outcomeOf({ status, namesWait }: { status: number; namesWait: boolean }): Exclude<Outcome, 'notSent'> {
  if (status >= 200 && status <= 299) return 'delivered';
  if (status === 429 || (namesWait && REFUSED_WITH_WAIT.has(status))) return 'refused';
  if (REJECTED.has(status)) return 'rejected';
  if (UNAUTHORIZED.has(status)) return 'unauthorized';
  return 'failed';
}
