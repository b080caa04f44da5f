import { Counter, Histogram } from 'prom-client';
import { ProblemException } from '#service';
import { attemptsOf, type Ending, type Message } from '../message.js';
import type { LedgerEntry } from '../money/ledger-entries.js';
import type { ProvidersFile } from '../providers/providers-file.js';
import { cheapestPaidMicros, isFree } from '../routing/choose-route.js';

/**
 * How a message ended. Nothing was sent of a message that is `denied` (its caller may not pay, or has used its free share) or `refused` (Octo cannot
 * send it now).
 */
type MessageOutcome =
  'delivered_free' | 'delivered_paid' | 'failed' | 'unknown' | 'expired' | 'cancelled' | 'denied' | 'refused';

/** The label of messages that no provider delivered. */
const NO_PROVIDER = 'none';
/** 429 after the route was tried: the free share of the account is used up. */
const DENIALS = new Set(['paid_access_required', 'budget_exhausted', 'too_many_requests']);
const REFUSALS = new Set(['unavailable']);
const UNDELIVERED: MessageOutcome[] = ['failed', 'unknown', 'expired', 'cancelled', 'denied', 'refused'];

const received = new Counter({
  name: 'octo_messages_received_total',
  help: 'Valid messages that callers sent to this pod',
  labelNames: ['channel'] as const,
});

const ended = new Counter({
  name: 'octo_messages_total',
  help: 'Messages that ended at this pod, by how they ended and by the provider that delivered them',
  labelNames: ['channel', 'provider', 'outcome'] as const,
});

const spent = new Counter({
  name: 'octo_spent_micros_total',
  help: 'Money that this pod entered into the ledger, in millionths of the currency',
  labelNames: ['channel', 'provider', 'currency'] as const,
});

const saved = new Counter({
  name: 'octo_saved_micros_total',
  help: 'What free deliveries would have cost at the cheapest paid provider of their channel, in millionths of the currency',
  labelNames: ['channel', 'currency'] as const,
});

const avoidable = new Counter({
  name: 'octo_avoidable_paid_messages_total',
  help: 'Messages that were paid for while a free slot of their channel was open, as far as this pod knew',
  labelNames: ['channel'] as const,
});

const duration = new Histogram({
  name: 'octo_message_duration_seconds',
  help: 'Time to deliver a message that did not wait, from the parsed request to the answer',
  labelNames: ['channel'] as const,
  buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
});

const overhead = new Histogram({
  name: 'octo_message_overhead_seconds',
  help: 'The part of octo_message_duration_seconds in which no provider was working: permit, journal, the pod itself',
  buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5],
});

/** Starts every series at 0: Prometheus does not see the first increase of a series that begins with it. */
export function startMessageSeries({ channels, currency }: ProvidersFile): void {
  for (const { name: channel, providers } of channels.values()) {
    received.inc({ channel }, 0);
    avoidable.inc({ channel }, 0);
    saved.inc({ channel, currency }, 0);
    for (const outcome of UNDELIVERED) ended.inc({ channel, provider: NO_PROVIDER, outcome }, 0);
    for (const provider of providers) {
      const { name } = provider;
      ended.inc({ channel, provider: name, outcome: isFree(provider) ? 'delivered_free' : 'delivered_paid' }, 0);
      if (!isFree(provider)) spent.inc({ channel, provider: name, currency }, 0);
    }
  }
}

export function noteReceived({ channel }: Message): void {
  received.inc({ channel });
}

/** A message has ended, and the journal has recorded it. */
export function noteEnding(
  message: Message,
  ending: Ending,
  { ledger, config: { channels, currency } }: { ledger: readonly LedgerEntry[]; config: ProvidersFile },
): void {
  const { channel } = message;
  const provider = ending.status === 'delivered' ? ending.provider : NO_PROVIDER;
  const outcome = outcomeOf(message, ending);
  ended.inc({ channel, provider, outcome });
  for (const { provider: name, micros } of ledger) spent.inc({ channel, provider: name, currency }, micros);
  if (outcome === 'delivered_free') saved.inc({ channel, currency }, cheapestPaidMicros(channels.get(channel)));
}

/** Waiting messages that ended without a send. */
export function noteUnsent(channel: string, outcome: 'expired' | 'cancelled'): void {
  ended.inc({ channel, provider: NO_PROVIDER, outcome });
}

/** The caller gets an error. Counts messages that the journal does not know because nothing was sent. */
export function noteError(message: Message, error: unknown): void {
  if (message.hopsOnDisk > 0 || attemptsOf(message.hops).length > 0) return;
  const code = error instanceof ProblemException ? error.code : 'unavailable';
  if (!DENIALS.has(code) && !REFUSALS.has(code)) return;
  ended.inc({ channel: message.channel, provider: NO_PROVIDER, outcome: unsentOutcome(code) });
}

/** @param tookMs from the parsed request to the answer */
export function noteDelivered({ channel, hops }: Message, tookMs: number): void {
  const providersMs = hops.reduce((sum, { step, durationMs = 0 }) => (step === 'answered' ? sum + durationMs : sum), 0);
  duration.observe({ channel }, tookMs / 1_000);
  overhead.observe(Math.max(0, tookMs - providersMs) / 1_000);
}

export function noteAvoidable({ channel }: Message): void {
  avoidable.inc({ channel });
}

function outcomeOf({ hops }: Message, ending: Ending): MessageOutcome {
  if (ending.status === 'delivered') return ending.costMicros > 0 ? 'delivered_paid' : 'delivered_free';
  if (ending.status === 'failed' && attemptsOf(hops).length === 0) return unsentOutcome(ending.reason);
  return ending.status;
}

function unsentOutcome(code: string): MessageOutcome {
  return DENIALS.has(code) ? 'denied' : 'refused';
}
