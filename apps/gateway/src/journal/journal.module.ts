import { Inject, Module } from '@nestjs/common';
import { Readiness } from '#service';
import { CallbacksModule } from '../callbacks/callbacks.module.js';
import { type GatewaySettings, SETTINGS } from '../gateway.settings.js';
import { MoneyModule } from '../money/money.module.js';
import { Claims } from './claims.service.js';
import { IdempotencyService } from './idempotency.service.js';
import { Journal } from './journal.service.js';
import { MessageQueries } from './message-queries.service.js';
import { Retention } from './retention.service.js';

/** What happened to messages, in Postgres: every SQL statement on `messages`. */
@Module({
  imports: [CallbacksModule, MoneyModule],
  providers: [Claims, Journal, MessageQueries, IdempotencyService, Retention],
  exports: [Claims, Journal, MessageQueries, IdempotencyService],
})
export class JournalModule {
  constructor(@Inject(SETTINGS) settings: GatewaySettings, journal: Journal, readiness: Readiness) {
    const check = () => (journal.isDown ? 'cannot be written' : undefined);
    if (settings.JOURNAL_DOWN === 'refuse') readiness.require('journal', check);
    else readiness.prefer('journal', check);
  }
}
