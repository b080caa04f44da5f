import type {
  DeliveredMessage,
  Hop,
  MessageList,
  MessageRecord,
  MessageSummary,
  ProblemCode,
  WaitingMessage,
} from '#contracts';
import { PRIORITIES, PROBLEMS } from '#contracts';
import { cursorAfter } from '../journal/message-page.js';
import {
  contentOf,
  hopsOf,
  type StoredMessage,
  type StoredProgress,
  type StoredSummary,
} from '../journal/message-queries.service.js';
import { attemptsOf, type Message } from '../message.js';
import { ProblemException } from '#service';

/** The answer for a delivered message, the first time and whenever its key is used again. */
export function deliveredAnswer(
  { id, channel, createdAt, hops }: Pick<Message, 'id' | 'channel' | 'createdAt' | 'hops'>,
  outcome: { provider: string; account: string; response: unknown; costMicros: number; currency: string },
): DeliveredMessage {
  const deliveredAt = hops.findLast(({ step }) => step === 'delivered')?.at ?? createdAt.toISOString();
  const { provider, account, response, costMicros, currency } = outcome;
  return {
    id,
    status: 'delivered',
    channel,
    provider,
    account,
    response,
    costMicros,
    currency,
    createdAt: createdAt.toISOString(),
    deliveredAt,
    attempts: attemptsOf(hops),
  };
}

/** The answer for an accepted message, the first time and whenever its key is used again. */
export function waitingAnswer(
  { id, deliverBy }: { id: string; deliverBy: Date },
  hops: readonly Hop[],
): WaitingMessage {
  const expectedAt = expectedAtOf(hops) ?? deliverBy.toISOString();
  return { id, status: 'waiting', expectedAt, deliverBy: deliverBy.toISOString() };
}

/**
 * The answer to a request whose key an earlier request used.
 * @throws ProblemException the problem that the earlier request got, or `idempotency_in_progress`
 */
export function repeatedAnswer(stored: StoredMessage): DeliveredMessage | WaitingMessage {
  const { id, channel, status, provider, costMicros, currency, reason, detail, createdAt, deliverBy } = stored;
  const hops = hopsOf(stored);
  if (status === 'delivered' && provider !== null) {
    const { account, response } = stored;
    const content = response === null ? '' : contentOf(response, stored.responseIsJson);
    const outcome = { provider, account: account ?? provider, response: content, costMicros, currency };
    return deliveredAnswer({ id, channel, createdAt, hops }, outcome);
  }
  const isAccepted = hops.some(({ step }) => step === 'waiting');
  if (isAccepted && deliverBy !== null && (status === 'waiting' || status === 'sending')) {
    return waitingAnswer({ id, deliverBy }, hops);
  }
  if (reason !== null && isProblemCode(reason)) {
    throw new ProblemException(reason, detail ?? '', { id, attempts: attemptsOf(hops) });
  }
  throw inProgress();
}

export function inProgress(): ProblemException {
  const detail = 'The first request with this Idempotency-Key is still in progress. Send it again in a moment.';
  return new ProblemException('idempotency_in_progress', detail, { retryAfterMs: 1_000 });
}

function isProblemCode(code: string): code is ProblemCode {
  return code in PROBLEMS;
}

/** A message as the journal has it, with its text, response and hops. */
export function recordOf(stored: StoredMessage): MessageRecord {
  const hops = numberedHopsOf(stored);
  const isWaiting = stored.status === 'waiting' || stored.status === 'sending';
  return {
    ...summaryOf(stored),
    message: stored.text === null ? null : contentOf(stored.text, stored.isJson),
    response: stored.response === null ? null : contentOf(stored.response, stored.responseIsJson),
    expectedAt: (isWaiting ? expectedAtOf(hops) : undefined) ?? null,
    attempts: attemptsOf(hops),
    hops,
  };
}

export function listOf({ items, hasMore }: { items: StoredSummary[]; hasMore: boolean }): MessageList {
  const last = items.at(-1);
  return { items: items.map(summaryOf), nextCursor: hasMore && last ? cursorAfter(last.id) : null };
}

/** What an event of a message's stream tells. */
export type Progress = Pick<MessageRecord, 'id' | 'status' | 'provider' | 'reason' | 'costMicros' | 'hops'>;

export function progressOf(stored: StoredProgress): Progress {
  return { ...stored, hops: numberedHopsOf(stored) };
}

function numberedHopsOf(stored: Pick<StoredMessage, 'hops'>): MessageRecord['hops'] {
  return hopsOf(stored).map((hop, index) => Object.assign({ seq: index + 1 }, hop));
}

function summaryOf(row: StoredSummary): MessageSummary {
  const time = (at: Date | null): string | null => at?.toISOString() ?? null;
  const { id, channel, status, mayPay, priority, provider, costMicros, currency, reason, detail } = row;
  const { requestId, idempotencyKey, callbackUrl } = row;
  return {
    id,
    channel,
    status,
    mayPay,
    priority: PRIORITIES[priority] ?? 'normal',
    provider,
    account: row.account ?? provider,
    costMicros,
    currency,
    createdAt: row.createdAt.toISOString(),
    deliverBy: time(row.deliverBy),
    deliveredAt: status === 'delivered' ? time(row.finishedAt) : null,
    finishedAt: time(row.finishedAt),
    reason,
    detail,
    requestId,
    traceId: row.traceparent.split('-')[1] ?? '',
    idempotencyKey,
    callbackUrl,
  };
}

/** The latest estimate: each hop `waiting` says for how long. */
function expectedAtOf(hops: readonly Hop[]): string | undefined {
  const last = hops.findLast(({ step }) => step === 'waiting');
  return last && new Date(Date.parse(last.at) + (last.waitMs ?? 0)).toISOString();
}
