import { Injectable } from '@nestjs/common';
import { type DeliveredMessage, PROBLEMS, type ProblemCode, type WaitingMessage } from '#contracts';
import { ProblemException } from '#service';
import { deliveredAnswer, type Message, waitingAnswer, wasSent } from '../message.js';
import { MessageQueries } from './message-queries.service.js';
import { hopsOf, type MessageRow } from './message-record.js';

/** A request with a key that was used before. */
@Injectable()
export class IdempotencyService {
  constructor(private readonly queries: MessageQueries) {}

  /**
   * The answer that the first request with this key was given (draft-ietf-httpapi-idempotency-key-header).
   * @throws ProblemException the same as then; `idempotency_key_reused` for another body; `idempotency_in_progress`
   */
  async answerOf(message: Message): Promise<DeliveredMessage | WaitingMessage> {
    const answer = await this.answerIfUsed(message);
    // Given up between the two looks at it, or just now.
    if (answer === undefined) throw inProgress();
    return answer;
  }

  /** The same, and undefined when there was no request with this key, or nothing came of it. */
  async answerIfUsed({
    accountId,
    idempotencyKey,
    fingerprint,
  }: Message): Promise<DeliveredMessage | WaitingMessage | undefined> {
    if (idempotencyKey === undefined) return undefined;
    const owner = { accountId, key: idempotencyKey };
    const keyed = await this.queries.findByKey(owner);
    if (keyed === undefined) return undefined;
    if (keyed.isExpired) {
      await this.queries.releaseExpiredKey(owner);
      return undefined;
    }
    if (keyed.fingerprint !== fingerprint) {
      throw new ProblemException('idempotency_key_reused', 'Use a new Idempotency-Key for another request.');
    }
    if (keyed.row === undefined) throw inProgress();
    if (!isGivenUp(keyed.row)) return answerFrom(keyed.row);
    await this.queries.releaseKey({ ...owner, id: keyed.row.id });
    return undefined;
  }

  /** The next request with its key is a new one. */
  async release({ accountId, id, idempotencyKey: key }: Message): Promise<void> {
    if (key !== undefined) await this.queries.releaseKey({ accountId, key, id });
  }
}

/** Nothing came of it; whoever ended it died, or lost Postgres, before it gave the key back. */
function isGivenUp(row: MessageRow): boolean {
  return row.status === 'failed' && !wasSent(hopsOf(row));
}

function answerFrom(row: MessageRow): DeliveredMessage | WaitingMessage {
  const { id, status, provider, response, costMicros, currency, reason, detail, createdAt, deliverBy } = row;
  const hops = hopsOf(row);
  if (status === 'delivered' && provider !== null) {
    const text = response?.toString('utf8') ?? '';
    return deliveredAnswer({ id, createdAt, hops }, { provider, response: text, costMicros, currency });
  }
  const accepted = hops.find(({ step }) => step === 'waiting');
  if (accepted !== undefined && deliverBy !== null && (status === 'waiting' || status === 'sending')) {
    return waitingAnswer({ id, deliverBy }, accepted);
  }
  if (reason !== null && reason in PROBLEMS) throw new ProblemException(reason as ProblemCode, detail ?? '');
  throw inProgress();
}

function inProgress(): ProblemException {
  const detail = 'The first request with this Idempotency-Key is not over. Send it again in a moment.';
  return new ProblemException('idempotency_in_progress', detail, { retryAfterMs: 1_000 });
}
