import { Injectable, Logger, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import { gt } from 'drizzle-orm';
import { ACCESS_TOKEN_TTL_MS, CLOCK_TOLERANCE_MS, Revocations } from '#access-token';
import { type Database, databaseReason, InjectDatabase, type Queries, revokedAccess } from '#database';
import { OutageLog } from '#service';

/** Every access token has expired this long after it was signed; one second more, for a token being signed now. */
const REMEMBER_MS = ACCESS_TOKEN_TTL_MS + CLOCK_TOLERANCE_MS + 1_000;
const RETRY_MS = 1_000;
/** A Redis that is busy for a moment must not leave a session open; one that is down fails every try at once. */
const TRIES = 3;

/**
 * Revoked access ids, whose tokens every pod refuses. Postgres records them in the transaction that revokes them; Redis
 * announces them. Redis may be down or lose its data: whenever it is connected again, all of them are announced again.
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
    const expiresAt = new Date(Date.now() + REMEMBER_MS);
    await tx.insert(revokedAccess).values(accessIds.map((accessId) => ({ accessId, expiresAt })));
  }

  /** Call after the commit of `record`. Does not throw while Redis is down: retries in the background. */
  async announce(accessIds: string[], tries = TRIES): Promise<void> {
    try {
      await this.revocations.revoke(accessIds, REMEMBER_MS);
    } catch (error) {
      if (tries > 1) return this.announce(accessIds, tries - 1);
      this.retryLater(error);
    }
  }

  private async announceAll(): Promise<void> {
    try {
      const recent = await this.db.select().from(revokedAccess).where(gt(revokedAccess.expiresAt, new Date()));
      await this.revocations.revoke(
        recent.map((row) => row.accessId),
        REMEMBER_MS,
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
