import { Injectable, Logger, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import { lt, sql } from 'drizzle-orm';
import { type Database, databaseReason, InjectDatabase, revokedAccess, sessions } from '#database';

const SWEEP_EVERY_MS = 3_600_000;

/** Deletes expired sessions. */
@Injectable()
export class SessionSweeper implements OnApplicationBootstrap, OnApplicationShutdown {
  private readonly logger = new Logger('sessions');
  private timer: NodeJS.Timeout | undefined;

  constructor(@InjectDatabase() private readonly db: Database) {}

  onApplicationBootstrap(): void {
    this.timer = setInterval(() => void this.sweep(), SWEEP_EVERY_MS).unref();
  }

  onApplicationShutdown(): void {
    clearInterval(this.timer);
  }

  private async sweep(): Promise<void> {
    try {
      // The delete cascades to their refresh tokens.
      await this.db.delete(sessions).where(lt(sessions.expiresAt, sql`now()`));
      await this.db.delete(revokedAccess).where(lt(revokedAccess.expiresAt, sql`now()`));
    } catch (error) {
      this.logger.warn('expired sessions cannot be deleted', { reason: databaseReason(error) });
    }
  }
}
