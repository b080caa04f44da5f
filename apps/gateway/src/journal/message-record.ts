import { z } from 'zod';
import { hopSchema, type MessageRecord, type MessageSummary } from '#contracts';
import type { messages } from '#database';
import { attemptsOf, type Message } from '../message.js';

export type MessageRow = typeof messages.$inferSelect;

const hopsSchema = z.array(hopSchema);

export function hopsOf(row: Pick<MessageRow, 'hops'>): Message['hops'] {
  return hopsSchema.parse(row.hops);
}

export function numberedHopsOf(row: Pick<MessageRow, 'hops'>): MessageRecord['hops'] {
  return hopsOf(row).map((hop, index) => Object.assign({ seq: index + 1 }, hop));
}

/** Everything there is to know of a message. */
export function recordOf(row: MessageRow): MessageRecord {
  return {
    ...summaryOf(row),
    message: row.text?.toString('utf8') ?? null,
    response: row.response?.toString('utf8') ?? null,
    attempts: attemptsOf(hopsOf(row)),
    hops: numberedHopsOf(row),
  };
}

export function summaryOf(row: Omit<MessageRow, 'text' | 'response' | 'hops'>): MessageSummary {
  const time = (at: Date | null): string | null => at?.toISOString() ?? null;
  const { id, status, mayPay, provider, costMicros, currency, reason, detail, requestId, idempotencyKey, callbackUrl } =
    row;
  return {
    id,
    status,
    mayPay,
    provider,
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
