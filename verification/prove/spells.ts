import type { ProviderStats } from '#contracts';
import type { MessageRecord } from './message-record.js';

type Sent = Pick<MessageRecord, 'arrivedAtMs' | 'answeredAtMs' | 'outcome'>;

/** A time in which a provider accepts, up to where it does no more. Instants in ms since 1970. */
export interface Spell {
  startedMs: number;
  /** Infinity: that moment never came. */
  blockedMs: number;
  reopensMs: number;
  accepted: number;
  refused: number;
}

export function spellsOf({ windows }: ProviderStats): Spell[] {
  return windows.map(({ startedAt, blockedAt, reopensAt, accepted, refused }) => ({
    startedMs: Date.parse(startedAt),
    blockedMs: blockedAt === null ? Infinity : Date.parse(blockedAt),
    reopensMs: reopensAt === null ? Infinity : Date.parse(reopensAt),
    accepted,
    refused,
  }));
}

/**
 * For each reopening, how late we provably were: the last message paid for between the reopening and the arrival of the
 * first to go free could have gone in its place, and that one waited from its arrival on. Whoever came after it found
 * it on its way. Time in which nobody wanted anything is nobody's delay.
 * @param messages in order of arrival
 */
export function reopeningLagsMs(spells: readonly Spell[], messages: readonly Sent[]): number[] {
  return spells.slice(1).flatMap(({ startedMs }, index) => {
    const reopensMs = spells[index]?.reopensMs ?? Infinity;
    if (!(reopensMs <= startedMs)) return [];
    const firstAtMs = firstOf(messages, startedMs)?.arrivedAtMs ?? startedMs;
    const paid = messages.filter(
      ({ outcome, arrivedAtMs }) => outcome === 'paid' && reopensMs <= arrivedAtMs && arrivedAtMs < firstAtMs,
    );
    const missedMs = (paid.at(-1)?.arrivedAtMs ?? reopensMs) - reopensMs;
    const waitedMs = startedMs - Math.max(firstAtMs, reopensMs);
    return [Math.max(missedMs, waitedMs)];
  });
}

/** Whose accept began the spell: that was some time between its arrival and its answer. */
export function firstOf<T extends Pick<Sent, 'arrivedAtMs' | 'answeredAtMs'>>(
  messages: readonly T[],
  startedMs: number,
): T | undefined {
  return messages.find(
    ({ arrivedAtMs, answeredAtMs = -Infinity }) => arrivedAtMs <= startedMs && startedMs <= answeredAtMs,
  );
}

/**
 * Which of these moments the provider had been open for longer than `graceMs`, and stayed so for longer than
 * `answerMs`: what accepts its last in that time had given away its last before. Around the end of a window
 * that ended by time alone the grace holds on both sides: nobody knows when a request arrives there.
 */
export function whileOpen(
  spells: readonly Spell[],
  atMs: readonly number[],
  { graceMs, answerMs }: { graceMs: number; answerMs: number },
): number[] {
  const openings = spells.map((spell, index) => ({
    fromMs: openSinceMs(spell, spells[index - 1]) + graceMs,
    untilMs: Math.min(spell.blockedMs - answerMs, (spells[index + 1]?.startedMs ?? Infinity) - graceMs),
  }));
  return atMs.filter((moment) => openings.some(({ fromMs, untilMs }) => fromMs < moment && moment < untilMs));
}

function openSinceMs({ startedMs }: Spell, previous: Spell | undefined): number {
  if (previous === undefined) return -Infinity;
  return previous.reopensMs === Infinity ? startedMs : previous.reopensMs;
}

/** The value that a share of `rank` of them does not exceed; 0 of none. */
export function quantile(values: readonly number[], rank: number): number {
  const sorted = values.toSorted((one, other) => one - other);
  return sorted[Math.max(0, Math.ceil(rank * sorted.length) - 1)] ?? 0;
}
