import type { LimiterName, Setup } from '../../testbed/limiters.js';

/** The parent sends a pod its order. The pod reports `ready`, gets `PodStart`, and reports each message and a summary. */
export interface PodOrder {
  limiter: LimiterName;
  setup: Setup;
  providerUrl: string;
  /** This pod's messages; `atMs` counts from the start. */
  arrivals: { id: string; atMs: number; tokens?: TokenUse }[];
}

/** Of a message, where the quota counts tokens. */
export interface TokenUse {
  estimated: number;
  used: number;
}

export interface PodStart {
  /** In ms since 1970. */
  startAtMs: number;
}

/** What happened to one message. Instants in ms since 1970, by a monotonic clock. */
export interface MessageRecord {
  id: string;
  /** `free` and `paid` are deliveries; after `refused` the message is paid for; `unknown`: no answer came. */
  outcome: 'free' | 'paid' | 'refused' | 'unknown';
  arrivedAtMs: number;
  /** When the limiter granted or denied a permit. */
  decidedAtMs: number;
  /** When the provider's answer arrived, or the time-out. Undefined: nothing was sent. */
  answeredAtMs?: number | undefined;
  /** Of the message, where the quota counts tokens. */
  tokens?: number | undefined;
  /** This pod's Redis round trips so far. */
  trips?: number | undefined;
}

export interface PodSummary {
  trips: number | undefined;
  /** The longest time that the busy machine kept the pod from running. */
  stallMs: number;
}

export type PodReport = 'ready' | { record: MessageRecord } | { summary: PodSummary };
