import { Injectable, Logger, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import { lt, sql } from 'drizzle-orm';
import {
  type Database,
  databaseReason,
  InjectDatabase,
  passwordResets,
  revokedAccess,
  securityEvents,
  sessions,
} from '#database';
import { type AuthSettings, InjectSettings } from '../auth.settings.js';

const SWEEP_EVERY_MS = 3_600_000;

/** Deletes expired sessions, reset tokens and security events. */
@Injectable()
export class SessionSweeper implements OnApplicationBootstrap, OnApplicationShutdown {
  private readonly logger = new Logger('sessions');
  private timer: NodeJS.Timeout | undefined;

  constructor(
    @InjectDatabase() private readonly db: Database,
    @InjectSettings() private readonly settings: AuthSettings,
  ) {}

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
      await this.db.delete(passwordResets).where(lt(passwordResets.expiresAt, sql`now()`));
      const keepDays = this.settings.SECURITY_LOG_DAYS;
      await this.db.delete(securityEvents).where(lt(securityEvents.at, sql`now() - ${keepDays} * interval '1 day'`));
      await this.db.delete(revokedAccess).where(lt(revokedAccess.expiresAt, sql`now()`));
    } catch (error) {
      this.logger.warn('expired rows cannot be deleted', { reason: databaseReason(error) });
    }
  }
}
