import { Injectable, Logger, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import { gt } from 'drizzle-orm';
import { ACCESS_TOKEN_TTL_MS, CLOCK_TOLERANCE_MS, Revocations } from '#access-token';
import { type Database, InjectDatabase, type Queries, revokedAccess } from '#database';

/** No token signed before now is accepted after this long. A second more than that, for tokens being signed right now. */
const REMEMBER_MS = ACCESS_TOKEN_TTL_MS + CLOCK_TOLERANCE_MS + 1_000;
const RETRY_MS = 1_000;
/** A Redis that is busy for a moment must not leave a session open; one that is down fails all tries at once. */
const TRIES = 3;

/**
 * Access ids whose tokens are refused from now on. Recorded in Postgres, together with what made them so; announced
 * through Redis, which may be down or lose its memory: then all of them are announced again.
 */
@Injectable()
export class RevokedAccess implements OnModuleInit, OnApplicationShutdown {
  private readonly logger = new Logger('revocations');
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

  /** To be called after what was recorded is committed. Redis being down does not fail the caller. */
  async announce(accessIds: string[], tries = TRIES): Promise<void> {
    try {
      await this.revocations.revoke(accessIds, REMEMBER_MS);
    } catch (error) {
      if (tries > 1) return this.announce(accessIds, tries - 1);
      this.logger.warn('revocations could not be announced', { count: accessIds.length, err: error });
      this.announceAllSoon();
    }
  }

  private async announceAll(): Promise<void> {
    try {
      const recent = await this.db.select().from(revokedAccess).where(gt(revokedAccess.expiresAt, new Date()));
      await this.revocations.revoke(
        recent.map((row) => row.accessId),
        REMEMBER_MS,
      );
    } catch {
      this.announceAllSoon();
    }
  }

  private announceAllSoon(): void {
    clearTimeout(this.retry);
    this.retry = setTimeout(() => void this.announceAll(), RETRY_MS).unref();
  }
}
