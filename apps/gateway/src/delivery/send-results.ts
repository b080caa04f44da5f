import { setTimeout } from 'node:timers/promises';
import type { Hop } from '#contracts';
import type { Amounts, Permit, Settlement } from '#quota';
import type { Message } from '../message.js';
import type { SendResult } from '../providers/answer-reader.js';
import type { Provider } from '../providers/providers-file.js';

export function notSent(reason: string): SendResult {
  return { outcome: 'notSent', httpStatus: null, reason, settlement: { outcome: 'notSent' } };
}

export async function unansweredAfter(patienceMs: number): Promise<SendResult> {
  const settlement = { outcome: 'unknown' } as const;
  const unanswered = { outcome: 'unknown', httpStatus: null, settlement } as const;
  return setTimeout(patienceMs, { ...unanswered, reason: `no answer to a probe within ${Math.ceil(patienceMs)} ms` });
}

/** True for a delivery; the price if the provider took the message, and its answer cannot be used. */
export function costOf(result: SendResult, { priceMicros }: Provider): number {
  if (result.outcome === 'delivered') return result.costMicros ?? priceMicros;
  return mayBeCharged(result) ? priceMicros : 0;
}

export function mayBeCharged({ outcome, settlement }: SendResult): boolean {
  return outcome === 'failed' && settlement.outcome === 'accepted';
}

/** What a request used of quotas that count amounts: by its answer, else as reserved. */
export function usedOf({ settlement }: SendResult, permit: Permit | undefined): Amounts | undefined {
  if (permit?.amounts === undefined || settlement.outcome !== 'accepted') return permit?.amounts;
  return { ...permit.amounts, ...settlement.used };
}

/** The five outcomes that callers see. */
export function attemptOutcomeOf({ outcome }: SendResult): NonNullable<Hop['outcome']> {
  return outcome === 'unauthorized' || outcome === 'notSent' ? 'failed' : outcome;
}

/**
 * A provider that already accepted the message replays its answer without counting it again, and a repetition after the
 * end of the permit may be counted in another window: settle as unknown.
 */
export function settlementOf(
  { onlyProvider }: Message,
  { key }: Provider,
  { result, permit }: { result: SendResult; permit: Permit },
): Settlement {
  const { settlement, repeatedAtMs = -Infinity } = result;
  const isDoubtful = onlyProvider === key || repeatedAtMs >= permit.sendByMs;
  return isDoubtful && settlement.outcome === 'accepted' ? { outcome: 'unknown' } : settlement;
}
