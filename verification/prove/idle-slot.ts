import type { Admission } from '#reference-provider';

/**
 * How many more could have been accepted, one for each of these moments at most: it is one that was open `graceMs` before,
 * and costs none of those that were accepted until `answerMs` after it, even if each of them had to do with slots that
 * had been open for as long as the grace. (A provider that is never full need not have an idle slot, where each one that
 * comes back is used soon.)
 * @param fresh makes the provider as it was before the first request
 * @param sentAtMs when it was sent all that it was sent
 */
export function idleSlots(
  fresh: () => Pick<Admission, 'decide'>,
  sentAtMs: readonly number[],
  { atMs, graceMs, answerMs }: { atMs: readonly number[]; graceMs: number; answerMs: number },
): number {
  const taken: number[] = [];
  for (const moment of atMs) {
    const fromMs = moment - graceMs;
    const sent = [...sentAtMs, ...taken]
      .filter((sentMs) => sentMs <= moment + answerMs)
      .map((sentMs) => (sentMs <= fromMs ? sentMs : Math.max(fromMs, sentMs - graceMs)));
    if (acceptedOf(fresh(), [...sent, fromMs]) > acceptedOf(fresh(), sent)) taken.push(fromMs);
  }
  return taken.length;
}

function acceptedOf(admission: Pick<Admission, 'decide'>, sentAtMs: readonly number[]): number {
  return sentAtMs.toSorted((one, other) => one - other).filter((atMs) => admission.decide(atMs).accepted).length;
}
