import type { MessageRecord } from '#contracts';
import { hasEnded } from '../../api/watch-message.js';
import type { Tone } from '../../ui/badge.js';

type Hop = MessageRecord['hops'][number];

/** A time in which a message waited, or was at a provider. */
export interface Span {
  kind: 'attempt' | 'wait';
  tone: Tone;
  fromMs: number;
  toMs: number;
}

/** From the hops of a message. What a message that has not ended does now goes on until `nowMs`. */
export function spansOf(record: Pick<MessageRecord, 'hops' | 'status' | 'costMicros'>, nowMs: number): Span[] {
  const { hops, status, costMicros } = record;
  return hops.flatMap((hop, index): Span[] => {
    const next = hops[index + 1];
    const fromMs = Date.parse(hop.at);
    const isNow = next === undefined && !hasEnded(status);
    const toMs = isNow ? Math.max(fromMs, nowMs) : Date.parse(next?.at ?? hop.at);
    if (hop.step === 'waiting') return [{ kind: 'wait', tone: 'waiting', fromMs, toMs }];
    // Nothing was sent: the permit expired, or no connection was made.
    if (hop.step !== 'sending' || next?.step === 'no_permit' || next?.sent === false) return [];
    return [{ kind: 'attempt', tone: isNow ? 'plain' : toneOf(next, costMicros), fromMs, toMs }];
  });
}

function toneOf(answer: Hop | undefined, costMicros: number): Tone {
  if (answer?.step !== 'answered' || answer.outcome === 'unknown') return 'doubtful';
  if (answer.outcome !== 'delivered') return 'bad';
  return costMicros > 0 ? 'paid' : 'free';
}

/** First and last moment of messages. */
export function rangeOf(
  records: readonly Pick<MessageRecord, 'hops' | 'status'>[],
  nowMs: number,
): { startMs: number; endMs: number } {
  const times = records.flatMap(({ hops }) => hops.map(({ at }) => Date.parse(at)));
  const isOpen = records.some(({ status }) => !hasEnded(status));
  return { startMs: Math.min(...times), endMs: Math.max(...times, ...(isOpen ? [nowMs] : [])) };
}
