import { Injectable, Logger, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import { lt } from 'drizzle-orm';
import { type Database, InjectDatabase, revokedAccess, sessions } from '#database';

const SWEEP_EVERY_MS = 3_600_000;

/** Forgets sessions nobody can go on with. */
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
    const now = new Date();
    try {
      // Their refresh tokens go with them.
      await this.db.delete(sessions).where(lt(sessions.expiresAt, now));
      await this.db.delete(revokedAccess).where(lt(revokedAccess.expiresAt, now));
    } catch (error) {
      this.logger.warn('old sessions could not be swept', { err: error });
    }
  }
}
