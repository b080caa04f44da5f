import { Module } from '@nestjs/common';
import { JournalModule } from '../journal/journal.module.js';
import { MessagesModule } from '../messages/messages.module.js';
import { MoneyModule } from '../money/money.module.js';
import { ProvidersModule } from '../providers/providers.module.js';
import { PodGauges } from './pod-gauges.service.js';
import { SharedGauges } from './shared-gauges.service.js';

/** The metrics that are read when Prometheus asks. All others stand near the code that counts. */
@Module({
  imports: [JournalModule, MessagesModule, MoneyModule, ProvidersModule],
  providers: [PodGauges, SharedGauges],
})
export class MetricsModule {}
