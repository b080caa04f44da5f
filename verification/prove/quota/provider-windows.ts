import type { ProviderStats } from '#contracts';
import type { MessageRecord } from './pod-protocol.js';

type Sent = Pick<MessageRecord, 'arrivedAtMs' | 'answeredAtMs' | 'outcome'>;

/** A time in which the provider accepts, up to its block. Instants in ms since 1970. */
export interface ProviderWindow {
  startedMs: number;
  /** Infinity: the window was not used up. */
  blockedMs: number;
  reopensMs: number;
}

export function windowsOf({ windows }: ProviderStats): ProviderWindow[] {
  return windows.map(({ startedAt, blockedAt, reopensAt }) => ({
    startedMs: Date.parse(startedAt),
    blockedMs: blockedAt === null ? Infinity : Date.parse(blockedAt),
    reopensMs: reopensAt === null ? Infinity : Date.parse(reopensAt),
  }));
}

/**
 * How late each reopening was used, as far as that is certain: the last message that was paid for between the reopening and
 * the arrival of the first free message could have been free, and the first free message waited since its arrival. Later
 * messages found the first one in flight. Time without a message is no delay.
 * @param messages in order of arrival
 */
export function reopeningLagsMs(windows: readonly ProviderWindow[], messages: readonly Sent[]): number[] {
  return windows.slice(1).flatMap(({ startedMs }, index) => {
    const reopensMs = windows[index]?.reopensMs ?? Infinity;
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

/** The message that started the window: the provider accepted it between its arrival and its answer. */
function firstOf(messages: readonly Sent[], startedMs: number): Sent | undefined {
  return messages.find(
    ({ arrivedAtMs, answeredAtMs = -Infinity }) => arrivedAtMs <= startedMs && startedMs <= answeredAtMs,
  );
}

/** The smallest value that at least this share of the values does not exceed; 0 of none. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((one, other) => one - other);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0;
}
