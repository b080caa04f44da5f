import type { Admission } from '#reference-provider';

/**
 * Whether a slot lay idle at that moment: one more request could have been accepted `graceMs` before it, and it would
 * have cost none of those that were accepted until `answerMs` after it, even if each of them had to do with slots that
 * had been open for as long as the grace. (A provider that is never full need not have an idle slot, where each one that
 * comes back is used soon.)
 * @param fresh makes the provider as it was before the first request
 * @param sentAtMs when it was sent all that it was sent
 */
export function hadIdleSlot(
  fresh: () => Pick<Admission, 'decide'>,
  sentAtMs: readonly number[],
  { atMs, graceMs, answerMs }: { atMs: number; graceMs: number; answerMs: number },
): boolean {
  const fromMs = atMs - graceMs;
  const sent = sentAtMs
    .filter((sentMs) => sentMs <= atMs + answerMs)
    .map((sentMs) => (sentMs <= fromMs ? sentMs : Math.max(fromMs, sentMs - graceMs)));
  return acceptedOf(fresh(), [...sent, fromMs]) > acceptedOf(fresh(), sent);
}

function acceptedOf(admission: Pick<Admission, 'decide'>, sentAtMs: readonly number[]): number {
  return sentAtMs.toSorted((one, other) => one - other).filter((atMs) => admission.decide(atMs).accepted).length;
}
