import type { ForeignRequest } from './foreign-client.js';
import type { MessageRecord } from './message-record.js';
import type { Spell } from './spells.js';

/** All that is known of one run when it is over. Instants in ms since 1970. */
export interface RunLog {
  pods: PodLog[];
  provider: { accepted: number; refused: number; spells: Spell[] };
  foreign: ForeignRequest[];
  /** Undefined when nothing was done to anybody. */
  fault: { beganMs: number; endedMs: number } | undefined;
}

export interface PodLog {
  /** The messages it was to have; where `atMs` says when. */
  arrivals: { id: string; atMs: number }[];
  records: MessageRecord[];
  /** Undefined where nobody can tell. */
  trips: number | undefined;
  tripsWhileBlocked: number;
  /** The longest that nothing could run in it. */
  stallMs: number;
  killedAtMs: number | undefined;
  wasPaused: boolean;
}

/** Of all pods, in order of arrival. */
export function recordsOf({ pods }: RunLog): MessageRecord[] {
  return pods.flatMap(({ records }) => records).toSorted((one, other) => one.arrivedAtMs - other.arrivedAtMs);
}

/** When the provider had counted what it was sent, by us and by others, at the latest; in order. */
export function sentTo(log: RunLog): number[] {
  const ours = recordsOf(log).filter(({ outcome }) => outcome !== 'paid');
  return [...ours.map(countedAtMs), ...log.foreign.map(({ atMs }) => atMs)].toSorted((one, other) => one - other);
}

/** An answer that never came dates nothing. */
function countedAtMs({ outcome, decidedAtMs, answeredAtMs = decidedAtMs }: MessageRecord): number {
  return outcome === 'unknown' ? decidedAtMs : answeredAtMs;
}
