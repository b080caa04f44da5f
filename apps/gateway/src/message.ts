import { createHash } from 'node:crypto';
import { hostname } from 'node:os';
import { v7 as uuidv7 } from 'uuid';
import { takeRandom } from './random.js';
import type { Attempt, DeliveredMessage, Hop, MessageStatus, SendMessage, WaitingMessage } from '#contracts';

/** Names this process in the journal. */
export const POD = `${hostname()}-${process.pid}`;

/** A message while it is worked on. */
export interface Message {
  readonly id: string;
  readonly accountId: string;
  readonly text: string;
  readonly mayPay: boolean;
  deliverBy: Date | undefined;
  /** The last safe moment: from here on it is paid for if it may be. Undefined for one that does not wait. */
  sendBy: Date | undefined;
  /** It may have been delivered by this one: nobody else may be tried before that is known. */
  onlyProvider: string | undefined;
  readonly callbackUrl: string | undefined;
  readonly idempotencyKey: string | undefined;
  /** Of the request that came with the key. */
  readonly fingerprint: string | undefined;
  readonly requestId: string;
  readonly traceparent: string;
  readonly createdAt: Date;
  /** Everything that happened to it. */
  readonly hops: Hop[];
  /** How many of these are on disk; 0 while the message itself is not. */
  hopsOnDisk: number;
}

/** What became of a message. */
export type Ending =
  | { status: 'delivered'; provider: string; response: string; costMicros: number }
  | { status: Exclude<MessageStatus, 'delivered' | 'waiting' | 'sending'>; reason: string; detail: string };

/** What is to be written of a message. */
export interface Change {
  status: MessageStatus;
  ending?: Ending;
  /** Not to be tried before so long from now. */
  nextInMs?: number;
  /** For how long this pod is believed to work on it. */
  claimMs?: number;
}

export type NewMessage = Pick<
  Message,
  'accountId' | 'mayPay' | 'idempotencyKey' | 'fingerprint' | 'requestId' | 'traceparent'
> &
  Pick<SendMessage, 'message' | 'deliverBy' | 'callbackUrl'>;

/** Field by field: copying objects of this size takes longer than making them. */
export function newMessage(asked: NewMessage): Message {
  const created: Message = {
    id: uuidv7({ random: takeRandom(16) }),
    accountId: asked.accountId,
    text: asked.message,
    mayPay: asked.mayPay,
    deliverBy: asked.deliverBy,
    sendBy: undefined,
    onlyProvider: undefined,
    callbackUrl: asked.callbackUrl,
    idempotencyKey: asked.idempotencyKey,
    fingerprint: asked.fingerprint,
    requestId: asked.requestId,
    traceparent: asked.traceparent,
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

/** Under load many things happen within a millisecond, and telling the time takes longer than most of them. */
function isoNow(): string {
  const nowMs = Date.now();
  if (nowMs !== lastMs) {
    lastMs = nowMs;
    lastText = new Date(nowMs).toISOString();
  }
  return lastText;
}

/** Each send, and the answer that followed it; one without an answer is `unknown`. */
export function attemptsOf(hops: readonly Hop[]): Attempt[] {
  return hops.flatMap((hop, index) => {
    if (hop.step !== 'sending' || hop.provider === undefined) return [];
    const next = hops[index + 1];
    const answer = next?.step === 'answered' ? next : undefined;
    return {
      provider: hop.provider,
      outcome: answer?.outcome ?? 'unknown',
      httpStatus: answer?.httpStatus ?? null,
      startedAt: hop.at,
      durationMs: answer?.durationMs ?? 0,
    };
  });
}

/** Whether anybody may have got it: a refusal says that they did not. */
export function wasSent(hops: readonly Hop[]): boolean {
  return attemptsOf(hops).some(({ outcome }) => outcome !== 'refused');
}

/** What the sender of a delivered message is answered, then and whenever the same key comes again. */
export function deliveredAnswer(
  { id, createdAt, hops }: Pick<Message, 'id' | 'createdAt' | 'hops'>,
  {
    provider,
    response,
    costMicros,
    currency,
  }: { provider: string; response: string; costMicros: number; currency: string },
): DeliveredMessage {
  const deliveredAt = hops.findLast(({ step }) => step === 'delivered')?.at ?? createdAt.toISOString();
  const attempts = attemptsOf(hops);
  return {
    id,
    status: 'delivered',
    provider,
    response,
    costMicros,
    currency,
    createdAt: createdAt.toISOString(),
    deliveredAt,
    attempts,
  };
}

/** What the sender of a message that waits is answered, then and whenever the same key comes again. */
export function waitingAnswer(
  { id, deliverBy }: { id: string; deliverBy: Date },
  { at, waitMs = 0 }: Pick<Hop, 'at' | 'waitMs'>,
): WaitingMessage {
  const expectedAt = new Date(Date.parse(at) + waitMs);
  return { id, status: 'waiting', expectedAt: expectedAt.toISOString(), deliverBy: deliverBy.toISOString() };
}

/** Tells requests apart that come with the same key: SHA-256 of everything the caller asked for, base64url. */
export function fingerprintOf({ message, deliverBy, paid, callbackUrl }: SendMessage): string {
  const asked = [message, deliverBy?.toISOString() ?? null, paid, callbackUrl ?? null];
  return createHash('sha256').update(JSON.stringify(asked)).digest('base64url');
}
