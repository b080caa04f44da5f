import { setTimeout as delay } from 'node:timers/promises';
import { Injectable, Logger, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import { gt, sql } from 'drizzle-orm';
import { EFFECTIVE_AFTER_MS, REVOCATION_TTL_MS, Revocations } from '#access-token';
import { type Database, databaseReason, InjectDatabase, type Queries, revokedAccess } from '#database';
import { OutageLog } from '#service';

const RETRY_MS = 1_000;
/** A Redis that is busy for a moment must not leave a session open; one that is down fails every try at once. */
const TRIES = 3;

/**
 * Revoked access ids, whose tokens every pod refuses, and ids of API keys that every pod must look up again. Postgres
 * records them in the transaction that revokes them; Redis announces them. Redis may be down or lose its data: whenever it
 * is connected again, all of them are announced again.
 */
@Injectable()
export class RevokedAccess implements OnModuleInit, OnApplicationShutdown {
  private readonly outage = new OutageLog(new Logger('revocations'), {
    failed: 'revocations cannot be announced',
    recovered: 'revocations are announced again',
  });
  private retry: NodeJS.Timeout | undefined;

  constructor(
    @InjectDatabase() private readonly db: Database,
    private readonly revocations: Revocations,
  ) {}

  onModuleInit(): void {
    this.revocations.whenConnected(() => void this.announceAll());
  }

  onApplicationShutdown(): void {
    clearTimeout(this.retry);
  }

  async record(tx: Queries, accessIds: string[]): Promise<void> {
    if (accessIds.length === 0) return;
    // The clock of Postgres: pods select the revocations of the last seconds.
    const expiresAt = sql`clock_timestamp() + ${REVOCATION_TTL_MS} * interval '1 ms'`;
    await tx
      .insert(revokedAccess)
      .values(accessIds.map((accessId) => ({ accessId, expiresAt })))
      // An API key is recorded with each change of its account.
      .onConflictDoUpdate({ target: revokedAccess.accessId, set: { expiresAt } });
  }

  /**
   * Call after the commit of `record`. When it resolves, the revocation is effective in every pod. While Redis is down
   * that takes `EFFECTIVE_AFTER_MS`: every pod polls Postgres. The announcement is repeated in the background.
   */
  async announce(accessIds: string[]): Promise<void> {
    if (accessIds.length === 0) return;
    const startedMs = performance.now();
    const elapsedMs = (): number => performance.now() - startedMs;
    for (let triesLeft = TRIES; ; triesLeft -= 1) {
      try {
        return await this.revocations.revoke(accessIds, REVOCATION_TTL_MS); // oxlint-disable-line no-await-in-loop -- a retry
      } catch (error) {
        if (triesLeft > 1 && elapsedMs() < EFFECTIVE_AFTER_MS) continue;
        this.retryLater(error);
        break;
      }
    }
    await delay(Math.max(0, EFFECTIVE_AFTER_MS - elapsedMs()));
  }

  private async announceAll(): Promise<void> {
    try {
      const recent = await this.db.select().from(revokedAccess).where(gt(revokedAccess.expiresAt, new Date()));
      await this.revocations.revoke(
        recent.map((row) => row.accessId),
        REVOCATION_TTL_MS,
      );
      this.outage.recovered();
    } catch (error) {
      this.retryLater(error);
    }
  }

  private retryLater(error: unknown): void {
    this.outage.failed({ reason: databaseReason(error) });
    clearTimeout(this.retry);
    this.retry = setTimeout(() => void this.announceAll(), RETRY_MS).unref();
  }
}
