import { Module, type OnModuleInit } from '@nestjs/common';
import { type Database, InjectDatabase } from '#database';
import { CallbacksModule } from '../callbacks/callbacks.module.js';
import { IdempotencyService } from './idempotency.service.js';
import { Journal } from './journal.service.js';
import { MessageQueries } from './message-queries.service.js';
import { ensurePartitions } from './partitions.js';
import { Retention } from './retention.service.js';

/** What happened to messages, in Postgres. */
@Module({
  imports: [CallbacksModule],
  providers: [Journal, MessageQueries, IdempotencyService, Retention],
  exports: [Journal, MessageQueries, IdempotencyService],
})
export class JournalModule implements OnModuleInit {
  constructor(@InjectDatabase() private readonly db: Database) {}

  async onModuleInit(): Promise<void> {
    await ensurePartitions(this.db, new Date());
  }
}
