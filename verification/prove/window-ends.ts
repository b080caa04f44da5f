import { guardMs, type LimitedPolicy, periodMsOf } from '#quota';
import { askedForMs, type MessageRecord } from './message-record.js';
import { firstOf, type Spell } from './spells.js';

type Handled = Pick<MessageRecord, 'arrivedAtMs' | 'decidedAtMs' | 'answeredAtMs'>;

/** Of windows that follow the clock. */
export function clockSkewMsOf(policy: LimitedPolicy): number | undefined {
  return policy.policy === 'fixed-window' && policy.anchor === 'clock' ? policy.clockSkewMs : undefined;
}

/**
 * Nobody can tell on which side of an end by the clock it was what was under way then, give or take guard and skew: from
 * when it came until who grants was told of its answer, which takes as long as to ask for a permit.
 */
export function aroundClockEnds<T extends Handled>(records: readonly T[], policy: LimitedPolicy): T[] {
  const [windowMs, skewMs] = [periodMsOf(policy), clockSkewMsOf(policy)];
  if (skewMs === undefined) return [];
  const marginMs = guardMs(windowMs) + skewMs;
  const windowOf = (atMs: number): number => Math.floor(atMs / windowMs);
  return records.filter((record) => {
    const toldAtMs = record.answeredAtMs === undefined ? record.decidedAtMs : record.answeredAtMs + askedForMs(record);
    return windowOf(record.arrivedAtMs - marginMs) < windowOf(toldAtMs + marginMs);
  });
}

/**
 * Where a request begins the window, its end is known as well as that request told when it began; and nothing is sent that
 * might be answered after it. Who uses the window up knows nothing of this.
 */
export function aroundUnusedEnds<T extends Handled>(
  records: readonly T[],
  spells: readonly Pick<Spell, 'startedMs'>[],
  policy: LimitedPolicy,
): T[] {
  const [periodMs, marginMs] = [periodMsOf(policy), guardMs(periodMsOf(policy))];
  const ends = spells.map(({ startedMs }) => {
    const { arrivedAtMs, answeredAtMs = startedMs } = firstOf(records, startedMs) ?? { arrivedAtMs: startedMs };
    const [endMs, tookMs] = [startedMs + periodMs, answeredAtMs - arrivedAtMs];
    return { fromMs: endMs - marginMs - 2 * tookMs, untilMs: endMs + marginMs + tookMs };
  });
  return records.filter(({ decidedAtMs }) =>
    ends.some(({ fromMs, untilMs }) => fromMs <= decidedAtMs && decidedAtMs <= untilMs),
  );
}
