import { addHop, type Change, type Message } from '../message.js';
import type { Provider } from '../providers/providers-file.js';

/** For how long a provider is asked again what became of a message: theirs and our memory of it. */
const RESOLVE_MS = 86_400_000;
const BACK_OFF_MS = 500;
const BACK_OFF_MAX_MS = 30_000;
/** Of what is only asked for: nobody waits for it, and every send is written down. */
const ASK_MAX_MS = 600_000;

/** What came of trying to send a message that waits. */
export type Attempted =
  | { outcome: 'delivered'; provider: Provider; response: string }
  /** `waitMs`: until a quota opens, when it is only that. */
  | { outcome: 'undelivered'; unknownAt: Provider | undefined; waitMs?: number | undefined };

/**
 * What is written of a message that waits, after it was tried: delivered; to be tried again; to be asked for again
 * where it may have been delivered, if that provider honours idempotency keys; or never to be known.
 */
export function afterAttempt(message: Message, attempted: Attempted, nowMs: number): Change {
  if (attempted.outcome === 'delivered') return delivered(message, attempted);
  const isOld = nowMs - firstSentMs(message) >= RESOLVE_MS;
  const { unknownAt } = attempted;
  if (unknownAt === undefined) {
    // A refusal or a failure now says nothing of what came of it where it was sent before.
    if (isOld && message.onlyProvider !== undefined) return neverKnown(message, { name: message.onlyProvider });
    if (message.onlyProvider !== undefined) return stillAsking(message, attempted);
    const nextInMs = retryInMs(message, attempted, nowMs);
    addHop(message, { step: 'waiting', reason: 'not delivered', waitMs: Math.round(nextInMs) });
    return { status: 'waiting', nextInMs };
  }
  if (unknownAt.idempotent && !isOld) return askAgain(message, unknownAt, nowMs);
  return neverKnown(message, unknownAt);
}

export function delivered(
  message: Message,
  { provider: { name, priceMicros }, response }: { provider: Provider; response: string },
): Change {
  addHop(message, { step: 'delivered', provider: name, costMicros: priceMicros });
  return { status: 'delivered', ending: { status: 'delivered', provider: name, response, costMicros: priceMicros } };
}

/** Only there, and until it is known: sent again with the same key it is delivered once. */
export function askAgain(message: Message, provider: Provider, nowMs: number): Change {
  const nextInMs = askInMs(message);
  message.onlyProvider = provider.name;
  message.sendBy = new Date(nowMs);
  addHop(message, { step: 'waiting', provider: provider.name, reason: 'no answer: asking again', waitMs: nextInMs });
  return { status: 'waiting', nextInMs };
}

/** It was not asked, or not answered: again when the quota opens, or after a back-off. */
function stillAsking(message: Message, { waitMs }: { waitMs?: number | undefined }): Change {
  const nextInMs = Math.min(waitMs ?? askInMs(message), ASK_MAX_MS);
  const wasAsked = message.hops.slice(message.hopsOnDisk).some(({ step }) => step !== 'no_permit');
  if (wasAsked) addHop(message, { step: 'waiting', reason: 'not delivered', waitMs: Math.round(nextInMs) });
  // Every block would add to what is known of it, for a day.
  else message.hops.length = message.hopsOnDisk;
  return { status: 'waiting', nextInMs };
}

export function neverKnown(message: Message, { name }: { name: string }): Change {
  const detail = `No answer came from ${name}; the message may have been delivered all the same.`;
  addHop(message, { step: 'unknown', provider: name });
  return { status: 'unknown', ending: { status: 'unknown', reason: 'provider_timeout', detail } };
}

/**
 * When the quota opens if it is only that, else a back-off: one that neither passes the moment from which it is paid
 * for, nor spends its last chance before the deadline.
 */
function retryInMs(message: Message, { waitMs }: { waitMs?: number | undefined }, nowMs: number): number {
  if (waitMs !== undefined) return waitMs;
  const { mayPay, sendBy, deliverBy } = message;
  const msUntil = (time: Date | undefined): number => (time === undefined ? Infinity : time.getTime() - nowMs);
  const retryMs = Math.max(BACK_OFF_MS, Math.min(backOffMs(message), BACK_OFF_MAX_MS, msUntil(deliverBy) / 2));
  const untilPaidMs = mayPay ? msUntil(sendBy) : Infinity;
  return untilPaidMs > 0 ? Math.min(retryMs, untilPaidMs) : retryMs;
}

function askInMs(message: Message): number {
  return Math.min(backOffMs(message), ASK_MAX_MS);
}

/** Doubles with each send. */
function backOffMs({ hops }: Message): number {
  const sends = hops.filter(({ step }) => step === 'sending').length;
  return BACK_OFF_MS * 2 ** Math.min(16, sends);
}

function firstSentMs({ hops, createdAt }: Message): number {
  return Date.parse(hops.find(({ step }) => step === 'sending')?.at ?? createdAt.toISOString());
}

/**
 * What is written of a message whose pod died while it worked on it. The last hop tells where it was: on its way to a
 * provider, or nowhere yet. One that was accepted waits on; a sender that was still there has seen its call fail.
 */
export function afterDeath(message: Message, providers: readonly Provider[], nowMs: number): Change {
  const last = message.hops.at(-1);
  const name = last?.step === 'sending' ? last.provider : message.onlyProvider;
  addHop(message, { step: 'taken_over' });
  if (name !== undefined) {
    const provider = providers.find((candidate) => candidate.name === name);
    return provider?.idempotent === true ? askAgain(message, provider, nowMs) : neverKnown(message, { name });
  }
  if (message.hops.some(({ step }) => step === 'waiting')) {
    addHop(message, { step: 'waiting' });
    return { status: 'waiting' };
  }
  addHop(message, { step: 'failed', reason: 'unavailable' });
  const detail = 'The process that worked on it ended before it was sent.';
  return { status: 'failed', ending: { status: 'failed', reason: 'unavailable', detail } };
}
