import { Module, type OnModuleInit } from '@nestjs/common';
import { type Database, InjectDatabase } from '#database';
import { Readiness } from '#service';
import { CallbacksModule } from '../callbacks/callbacks.module.js';
import { Claims } from './claims.service.js';
import { IdempotencyService } from './idempotency.service.js';
import { Journal } from './journal.service.js';
import { MessageQueries } from './message-queries.service.js';
import { ensurePartitions } from './partitions.js';
import { Retention } from './retention.service.js';

/** What happened to messages, in Postgres: every SQL statement on `messages`. */
@Module({
  imports: [CallbacksModule],
  providers: [Claims, Journal, MessageQueries, IdempotencyService, Retention],
  exports: [Claims, Journal, MessageQueries, IdempotencyService],
})
export class JournalModule implements OnModuleInit {
  constructor(
    @InjectDatabase() private readonly db: Database,
    journal: Journal,
    readiness: Readiness,
  ) {
    readiness.require('journal', () => (journal.isDown ? 'cannot be written' : undefined));
  }

  async onModuleInit(): Promise<void> {
    await ensurePartitions(this.db, new Date());
  }
}
