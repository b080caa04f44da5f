import { createHmac } from 'node:crypto';
import { Inject, Injectable, Logger } from '@nestjs/common';
import { and, desc, eq, lt } from 'drizzle-orm';
import { z } from 'zod';
import type { SecurityEvent, SecurityLogPage } from '#contracts';
import { type Database, databaseReason, InjectDatabase, securityEvents } from '#database';
import { wholeNumber } from '#service';
import type { Client } from '../client.js';

export const securityLogQuerySchema = z.strictObject({
  limit: wholeNumber({ min: 1, max: 100 }).default(50),
  cursor: z
    .string()
    .regex(/^\d{1,18}$/, 'must be a nextCursor of an earlier answer')
    .transform(BigInt)
    .optional(),
  accountId: z.uuid('must be the id of an account').optional(),
});
export type SecurityLogQuery = z.infer<typeof securityLogQuerySchema>;

/** Who acts, from where. `undefined`: the admin command, or not logged in. */
export interface Actor {
  accountId?: string | undefined;
  client?: Pick<Client, 'address' | 'requestId'> | undefined;
}

export interface NewSecurityEvent {
  event: SecurityEvent['event'];
  result?: SecurityEvent['result'];
  actor: Actor;
  /** The account that it concerns. */
  accountId?: string | undefined;
  /** For logins; only its hash is recorded. */
  email?: string;
  /** No secrets, no e-mail addresses. */
  detail?: string;
}

/** Key of the hashes of e-mail addresses; the admin command has none. */
export const EMAIL_HASH_KEY = Symbol('key of e-mail hashes');

/** Logins, lockouts, and changes of rights, passwords, keys and sessions: a row and a log line each. */
@Injectable()
export class SecurityLog {
  private readonly logger = new Logger('security');

  constructor(
    @InjectDatabase() private readonly db: Database,
    @Inject(EMAIL_HASH_KEY) private readonly emailHashKey: Buffer | undefined,
  ) {}

  /** Never throws: what happened has happened. The log line is written also while Postgres is down. */
  async record({ event, result = 'ok', actor, accountId, email, detail }: NewSecurityEvent): Promise<void> {
    const row = {
      event,
      result,
      actorId: actor.accountId ?? null,
      accountId: accountId ?? null,
      emailHash: email === undefined ? null : this.hashOf(email),
      address: actor.client?.address ?? null,
      requestId: actor.client?.requestId ?? null,
      detail: detail ?? null,
    };
    const { event: _, ...fields } = row;
    this.logger.log(event, withoutNulls(fields));
    try {
      await this.db.insert(securityEvents).values(row);
    } catch (error) {
      this.logger.warn('security event not stored', { securityEvent: event, reason: databaseReason(error) });
    }
  }

  /** Newest first. */
  async list({ limit, cursor, accountId }: SecurityLogQuery): Promise<SecurityLogPage> {
    const isWanted = and(
      cursor === undefined ? undefined : lt(securityEvents.id, cursor),
      accountId === undefined ? undefined : eq(securityEvents.accountId, accountId),
    );
    const rows = await this.db
      .select()
      .from(securityEvents)
      .where(isWanted)
      .orderBy(desc(securityEvents.id))
      .limit(limit + 1);
    const page = rows.slice(0, limit);
    const last = rows.length > limit ? page.at(-1) : undefined;
    return { items: page.map(eventOf), nextCursor: last ? String(last.id) : null };
  }

  private hashOf(email: string): string | null {
    if (this.emailHashKey === undefined) return null;
    return createHmac('sha256', this.emailHashKey).update(email).digest('base64url');
  }
}

function eventOf({ id, at, event, ...row }: typeof securityEvents.$inferSelect): SecurityEvent {
  return { ...row, id: String(id), at: at.toISOString(), event: event as SecurityEvent['event'] };
}

function withoutNulls(fields: object): object {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null));
}
