import { createHash } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { canonicalize } from 'json-canonicalize';
import type { SendMessage } from '#contracts';
import { type Message, wasSent } from '../message.js';
import { hopsOf, MessageQueries, type StoredMessage } from './message-queries.service.js';

/** What is known of an earlier request with the same idempotency key (draft-ietf-httpapi-idempotency-key-header). */
export type EarlierRequest =
  /** There was none, nothing came of it, or it is too old: the key is free. */
  | { state: 'none' }
  /** It had another body. */
  | { state: 'other body' }
  | { state: 'in progress' }
  | { state: 'known'; stored: StoredMessage };

/** Finds the earlier request with a key, and releases keys of which nothing came. */
@Injectable()
export class IdempotencyService {
  constructor(private readonly queries: MessageQueries) {}

  async earlierRequest({ accountId, idempotencyKey: key, fingerprint }: Message): Promise<EarlierRequest> {
    if (key === undefined) return { state: 'none' };
    const keyed = await this.queries.findByKey({ accountId, key });
    if (keyed === undefined) return { state: 'none' };
    if (keyed.isExpired) {
      await this.queries.releaseExpiredKey({ accountId, key });
      return { state: 'none' };
    }
    if (keyed.fingerprint !== fingerprint) return { state: 'other body' };
    const { stored } = keyed;
    if (stored === undefined) return { state: 'in progress' };
    if (!isGivenUp(stored)) return { state: 'known', stored };
    await this.queries.releaseKey({ accountId, key, id: stored.id });
    return { state: 'none' };
  }

  /** Frees the key of a message that was not sent: the next request with it is a new one. */
  async release({ accountId, id, idempotencyKey: key }: Message): Promise<void> {
    if (key !== undefined) await this.queries.releaseKey({ accountId, key, id });
  }
}

/** The message was not sent, and its pod died or lost Postgres before it released the key. */
function isGivenUp(stored: StoredMessage): boolean {
  return stored.status === 'failed' && !wasSent(hopsOf(stored));
}

/**
 * Tells apart requests with the same key: SHA-256 of everything the caller asked for, base64url. JSON is written in its
 * canonical form (RFC 8785), so that the order of its members does not matter.
 */
export function fingerprintOf({ message, channel, deliverBy, paid, priority, callbackUrl }: SendMessage): string {
  const asked = [message, deliverBy?.toISOString() ?? null, paid, callbackUrl ?? null];
  if (channel !== undefined) asked.push(channel);
  // Left out where it is the default, as in earlier releases.
  if (priority !== 'normal') asked.push({ priority });
  return createHash('sha256').update(canonicalize(asked)).digest('base64url');
}
