import { Injectable, Logger } from '@nestjs/common';
import { DrizzleQueryError } from 'drizzle-orm';

/** Says once that what waits cannot be looked after, and once that it is again. */
@Injectable()
export class FailureLog {
  private readonly logger = new Logger('waiting');
  private isFailing = false;

  note(error: unknown): void {
    // Drizzle's own message holds the parameters, and so the texts.
    const reason = error instanceof DrizzleQueryError ? error.cause?.message : String(error);
    if (!this.isFailing) this.logger.warn('what waits cannot be looked after', { reason });
    this.isFailing = true;
  }

  noteSuccess(): void {
    if (this.isFailing) this.logger.log('what waits is looked after again');
    this.isFailing = false;
  }
}
