import { Module } from '@nestjs/common';
import { JournalModule } from '../journal/journal.module.js';
import { ProviderClient } from '../providers/provider-client.js';
import { DeliveryService } from './delivery.service.js';
import { SendNowService } from './send-now.service.js';

@Module({
  imports: [JournalModule],
  providers: [DeliveryService, SendNowService, ProviderClient],
  exports: [DeliveryService, SendNowService],
})
export class DeliveryModule {}
