import type { StrategyName, Setup } from '../testbed/strategies.js';

/** What a pod is to do, told by its parent; then it says `ready`, is told when to start, and reports. */
export interface PodOrder {
  strategy: StrategyName;
  setup: Setup;
  providerUrl: string;
  /** When messages come, in ms after the start, for this pod. */
  arrivals: { id: string; atMs: number }[];
  /** So many are always under way, whatever their instants say; undefined: they come when they come. */
  atOnce?: number | undefined;
}

export interface PodStart {
  /** Instant at which arrivals are counted from, in ms since 1970. */
  startAtMs: number;
}

/** What became of one message. Instants in ms since 1970, by a clock that never goes back. */
export interface MessageRecord {
  id: string;
  /** `free` and `paid` are deliveries; a refused message is paid for, one that is `unknown` is told so. */
  outcome: 'free' | 'paid' | 'refused' | 'unknown' | 'failed';
  arrivedAtMs: number;
  /** When it had a permit, or knew that there is none. */
  decidedAtMs: number;
  /** When the provider's answer was read, or given up. Undefined when nothing was sent. */
  answeredAtMs?: number | undefined;
  /** This pod's Redis trips so far. */
  trips?: number | undefined;
}

export interface PodSummary {
  trips: number | undefined;
  tripsWhileBlocked: number;
  /** The longest that nothing could run in the pod, as its machine was busy. */
  stallMs: number;
}

export type PodReport = 'ready' | { record: MessageRecord } | { summary: PodSummary };

export function askedForMs({ arrivedAtMs, decidedAtMs }: Pick<MessageRecord, 'arrivedAtMs' | 'decidedAtMs'>): number {
  return decidedAtMs - arrivedAtMs;
}
