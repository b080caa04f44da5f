import { Module } from '@nestjs/common';
import { DeliveryModule } from '../delivery/delivery.module.js';
import { JournalModule } from '../journal/journal.module.js';
import { ProvidersModule } from '../providers/providers.module.js';
import { AbandonedMessages } from './abandoned-messages.service.js';
import { DueMessages } from './due-messages.service.js';
import { FreeQuotaDispatchers } from './free-quota-dispatchers.service.js';
import { UrgentTraffic } from './urgent-traffic.service.js';
import { WaitingDelivery } from './waiting-delivery.service.js';
import { WaitingMessages } from './waiting-messages.service.js';
import { WaitingQueue } from './waiting-queue.service.js';

@Module({
  imports: [JournalModule, DeliveryModule, ProvidersModule],
  providers: [
    AbandonedMessages,
    DueMessages,
    FreeQuotaDispatchers,
    UrgentTraffic,
    WaitingDelivery,
    WaitingMessages,
    WaitingQueue,
  ],
  exports: [WaitingMessages, UrgentTraffic],
})
export class WaitingModule {}
