import type { ForeignRequest } from './foreign-client.js';
import type { MessageRecord } from './pod-protocol.js';
import type { ProviderWindow } from './provider-windows.js';

/** Everything that is known about a run after its end. Instants in ms since 1970. */
export interface RunLog {
  pods: PodLog[];
  /** `counts`: what it accepted in each window. */
  provider: { accepted: number; refused: number; windows: ProviderWindow[]; counts: number[] };
  foreign: ForeignRequest[];
  /** Undefined: no fault was injected. */
  fault: { beganMs: number; endedMs: number } | undefined;
}

export interface PodLog {
  records: MessageRecord[];
  /** Undefined if the limiter does not count its trips. */
  trips: number | undefined;
  stallMs: number;
  wasPaused: boolean;
}

/** The records of all pods, in order of arrival. */
export function recordsOf({ pods }: Pick<RunLog, 'pods'>): MessageRecord[] {
  return pods.flatMap(({ records }) => records).toSorted((one, other) => one.arrivedAtMs - other.arrivedAtMs);
}

/** When the provider had counted each request at the latest, ours and foreign ones, in order. */
export function sentTo(log: RunLog): number[] {
  const ours = recordsOf(log).filter(({ outcome }) => outcome !== 'paid');
  return [...ours.map(countedAtMs), ...log.foreign.map(({ atMs }) => atMs)].toSorted((one, other) => one - other);
}

/** A lost answer says nothing about when the provider counted. */
function countedAtMs({ outcome, decidedAtMs, answeredAtMs = decidedAtMs }: MessageRecord): number {
  return outcome === 'unknown' ? decidedAtMs : answeredAtMs;
}
