import { hostname } from 'node:os';
import { v7 as uuidv7 } from 'uuid';
import type { Attempt, Hop, MessageStatus, Priority, SendMessage } from '#contracts';
import { takeRandom } from './random.js';

/** Names this process in the journal. */
export const POD = `${hostname()}-${process.pid}`;

/** A message while a pod works on it. Everything that happens to it is a hop; hops on disk are only ever added to. */
export interface Message {
  readonly id: string;
  readonly accountId: string;
  readonly channel: string;
  /** Text, or JSON where the channel has a schema. */
  readonly content: unknown;
  readonly mayPay: boolean;
  /** Which of the messages that wait go first. */
  readonly priority: Priority;
  deliverBy: Date | undefined;
  /**
   * The order of waiting messages. For one that may be paid for, the last safe moment, from which it is; for one that may
   * not, half of its time; while an outcome is being resolved, now. Undefined when the message does not wait.
   */
  sendBy: Date | undefined;
  /** This provider may have delivered the message: no other one is tried before that is known. */
  onlyProvider: string | undefined;
  readonly callbackUrl: string | undefined;
  readonly idempotencyKey: string | undefined;
  /** Hash of the request that came with the key. */
  readonly fingerprint: string | undefined;
  readonly requestId: string;
  readonly traceparent: string;
  readonly createdAt: Date;
  readonly hops: Hop[];
  /** How many of the hops are on disk; 0 while the message itself is not. */
  hopsOnDisk: number;
}

/** How a message ended. */
export type Ending =
  | { status: 'delivered'; provider: string; account: string; response: unknown; costMicros: number }
  | { status: Exclude<MessageStatus, 'delivered' | 'waiting' | 'sending'>; reason: string; detail: string };

/** What the journal writes of a message. */
export interface Change {
  status: MessageStatus;
  ending?: Ending;
  /** The message is not tried again before this time has passed. */
  nextInMs?: number;
  /** How long other pods believe that this pod works on the message. */
  claimMs?: number;
}

/** What the transitions of a message need to know of a provider. */
export interface Recipient {
  readonly name: string;
  /** The account whose quota is used. */
  readonly account: string;
  /** Distinguishes the accounts of all providers. */
  readonly key: string;
  readonly priceMicros: number;
  /** The provider honours `Idempotency-Key`: a message sent to it again is delivered once. */
  readonly idempotent: boolean;
}

export type NewMessage = Pick<
  Message,
  'accountId' | 'channel' | 'mayPay' | 'priority' | 'idempotencyKey' | 'fingerprint' | 'requestId' | 'traceparent'
> &
  Pick<SendMessage, 'message' | 'deliverBy' | 'callbackUrl'>;

/** Field by field: copying objects of this size costs more than creating them. */
export function newMessage(request: NewMessage): Message {
  const created: Message = {
    id: uuidv7({ random: takeRandom(16) }),
    accountId: request.accountId,
    channel: request.channel,
    content: request.message,
    mayPay: request.mayPay,
    priority: request.priority,
    deliverBy: request.deliverBy,
    sendBy: undefined,
    onlyProvider: undefined,
    callbackUrl: request.callbackUrl,
    idempotencyKey: request.idempotencyKey,
    fingerprint: request.fingerprint,
    requestId: request.requestId,
    traceparent: request.traceparent,
    createdAt: new Date(),
    hops: [],
    hopsOnDisk: 0,
  };
  addHop(created, { step: 'accepted' });
  return created;
}

export function addHop(message: Message, hop: Omit<Hop, 'at' | 'pod'>): Hop {
  const added = Object.assign(hop, { at: isoNow(), pod: POD });
  message.hops.push(added);
  return added;
}

let lastMs = 0;
let lastText = '';

/** Under load many hops fall into one millisecond, and formatting the time costs more than the rest of a hop. */
function isoNow(): string {
  const nowMs = Date.now();
  if (nowMs !== lastMs) {
    lastMs = nowMs;
    lastText = new Date(nowMs).toISOString();
  }
  return lastText;
}

/** Each send with the answer that followed it; a send without an answer is `unknown`. */
export function attemptsOf(hops: readonly Hop[]): Attempt[] {
  return sendsOf(hops).map(({ provider, account, at, answer }) => ({
    provider,
    account,
    outcome: answer?.outcome ?? 'unknown',
    httpStatus: answer?.httpStatus ?? null,
    startedAt: at,
    durationMs: answer?.durationMs ?? 0,
    reason: answer?.reason,
  }));
}

/** Whether any provider may have received the message. A refusal, or a request that never left, says that it did not. */
export function wasSent(hops: readonly Hop[]): boolean {
  return sendsOf(hops).some(({ answer }) => answer?.outcome !== 'refused' && answer?.sent !== false);
}

interface Send {
  provider: string;
  account: string;
  at: string;
  answer: Hop | undefined;
}

function sendsOf(hops: readonly Hop[]): Send[] {
  return hops.flatMap((hop, index) => {
    if (hop.step !== 'sending' || hop.provider === undefined) return [];
    const next = hops[index + 1];
    // The permit expired while the intent was written, and no other one was granted: nothing was sent.
    if (next?.step === 'no_permit') return [];
    const { provider, account = provider, at } = hop;
    return { provider, account, at, answer: next?.step === 'answered' ? next : undefined };
  });
}

/** How long the gateway asks a provider for an unknown outcome: as long as both sides remember the message. */
const RESOLVE_MS = 86_400_000;
const BACK_OFF_MS = 500;
/** Longest back-off before the next send of a waiting message. */
const BACK_OFF_MAX_MS = 30_000;
/** Longest back-off while an unknown outcome is resolved: no caller waits for it, and every send is written. */
const RESOLVE_BACK_OFF_MAX_MS = 600_000;

/** What became of an attempt to send a waiting message. */
export type AttemptOutcome<Provider extends Recipient = Recipient> =
  | { outcome: 'delivered'; provider: Provider; response: unknown; costMicros: number }
  /** A provider says that the message itself is wrong. */
  | { outcome: 'rejected'; detail: string }
  /** `waitMs`: time until a quota opens, when nothing else is in the way. `silentProvider`: sent there without an answer. */
  | { outcome: 'undelivered'; silentProvider: Provider | undefined; waitMs?: number | undefined };

/** Provider and account as a hop has them: the account is left out where it is the provider. */
export function placeOf({ name, account }: Recipient): Pick<Hop, 'provider' | 'account'> {
  return { provider: name, account: account === name ? undefined : account };
}

export function isPlaceOf({ provider, account = provider }: Hop, recipient: Recipient): boolean {
  return provider === recipient.name && account === recipient.account;
}

/** The message was delivered. */
export function markDelivered(
  message: Message,
  { provider, response, costMicros }: { provider: Recipient; response: unknown; costMicros: number },
): Change {
  const { name, account } = provider;
  addHop(message, { step: 'delivered', ...placeOf(provider), costMicros });
  return { status: 'delivered', ending: { status: 'delivered', provider: name, account, response, costMicros } };
}

/** The message ended without a delivery; `reason` and `detail` are those of the problem its caller gets. */
export function markUndelivered(
  message: Message,
  { status, reason, detail }: { status: 'failed' | 'unknown'; reason: string; detail: string },
): Change {
  addHop(message, { step: status, reason });
  return { status, ending: { status, reason, detail } };
}

/** The outcome will never be known. */
export function markUnknown(message: Message, { name }: { name: string }): Change {
  const detail = `${name} did not answer; it may have delivered the message all the same.`;
  addHop(message, { step: 'unknown', provider: name });
  return { status: 'unknown', ending: { status: 'unknown', reason: 'provider_timeout', detail } };
}

/** The message waits for its turn to be sent again to the one provider that may have delivered it. */
export function resolveWith(message: Message, provider: Recipient, nowMs: number): Change {
  const nextInMs = resolveBackOffMs(message);
  message.onlyProvider = provider.key;
  message.sendBy = new Date(nowMs);
  addHop(message, { step: 'waiting', ...placeOf(provider), reason: 'no answer: asking again', waitMs: nextInMs });
  return { status: 'waiting', nextInMs };
}

/**
 * The next state of a waiting message after an attempt: delivered; waiting for the next attempt; waiting until the
 * provider that may have delivered it tells, if that one honours idempotency keys; or unknown for ever.
 */
export function afterAttempt(message: Message, attempt: AttemptOutcome, nowMs: number): Change {
  if (attempt.outcome === 'delivered') return markDelivered(message, attempt);
  if (attempt.outcome === 'rejected') {
    return markUndelivered(message, { status: 'failed', reason: 'message_rejected', detail: attempt.detail });
  }
  const isOld = nowMs - firstSentMs(message) >= RESOLVE_MS;
  const { silentProvider } = attempt;
  if (silentProvider === undefined) {
    // A refusal or failure of this attempt says nothing about the one whose answer was lost.
    if (isOld && message.onlyProvider !== undefined) return markUnknown(message, { name: message.onlyProvider });
    if (message.onlyProvider !== undefined) return keepResolving(message, attempt);
    const nextInMs = retryInMs(message, attempt, nowMs);
    addHop(message, { step: 'waiting', reason: 'not delivered', waitMs: Math.round(nextInMs) });
    return { status: 'waiting', nextInMs };
  }
  if (silentProvider.idempotent && !isOld) return resolveWith(message, silentProvider, nowMs);
  return markUnknown(message, silentProvider);
}

/**
 * The next state of a message whose pod died while it worked on it. The last hop tells whether the message was on its
 * way to a provider. An accepted message goes on waiting; a caller that was still connected has seen its call fail.
 */
export function afterAbandonment(message: Message, providers: readonly Recipient[], nowMs: number): Change {
  const last = message.hops.at(-1);
  const isSending = last?.step === 'sending';
  const provider = providers.find((candidate) =>
    isSending ? isPlaceOf(last, candidate) : candidate.key === message.onlyProvider,
  );
  const name = isSending ? last.provider : message.onlyProvider;
  addHop(message, { step: 'taken_over' });
  if (name !== undefined) {
    return provider?.idempotent === true ? resolveWith(message, provider, nowMs) : markUnknown(message, { name });
  }
  if (message.hops.some(({ step }) => step === 'waiting')) {
    addHop(message, { step: 'waiting' });
    return { status: 'waiting' };
  }
  const detail = 'The pod that worked on it ended before the message was sent.';
  return markUndelivered(message, { status: 'failed', reason: 'unavailable', detail });
}

/** The provider was not reached, or refused: asked again when its quota opens, or after a back-off. */
function keepResolving(message: Message, { waitMs }: { waitMs?: number | undefined }): Change {
  const nextInMs = Math.min(waitMs ?? resolveBackOffMs(message), RESOLVE_BACK_OFF_MAX_MS);
  const wasAsked = message.hops.slice(message.hopsOnDisk).some(({ step }) => step !== 'no_permit');
  if (wasAsked) addHop(message, { step: 'waiting', reason: 'not delivered', waitMs: Math.round(nextInMs) });
  // A hop for each block would grow the record for a day.
  else message.hops.length = message.hopsOnDisk;
  return { status: 'waiting', nextInMs };
}

/**
 * When the quota opens, if nothing else is in the way; else a back-off that neither passes the moment from which the
 * message is paid for, nor spends its last chance before the deadline.
 */
function retryInMs(message: Message, { waitMs }: { waitMs?: number | undefined }, nowMs: number): number {
  const { mayPay, sendBy, deliverBy } = message;
  const msUntil = (time: Date | undefined): number => (time === undefined ? Infinity : time.getTime() - nowMs);
  if (waitMs !== undefined) return Math.min(waitMs, Math.max(0, msUntil(deliverBy)));
  const retryMs = Math.max(BACK_OFF_MS, Math.min(backOffMs(message), BACK_OFF_MAX_MS, msUntil(deliverBy) / 2));
  const untilPaidMs = mayPay ? msUntil(sendBy) : Infinity;
  return untilPaidMs > 0 ? Math.min(retryMs, untilPaidMs) : retryMs;
}

function resolveBackOffMs(message: Message): number {
  return Math.min(backOffMs(message), RESOLVE_BACK_OFF_MAX_MS);
}

/** Doubles with each send. */
function backOffMs({ hops }: Message): number {
  return BACK_OFF_MS * 2 ** Math.min(16, sendsOf(hops).length);
}

function firstSentMs({ hops, createdAt }: Message): number {
  return Date.parse(sendsOf(hops).find(({ answer }) => answer?.sent !== false)?.at ?? createdAt.toISOString());
}
