import { Module } from '@nestjs/common';
import { DeliveryModule } from '../delivery/delivery.module.js';
import { JournalModule } from '../journal/journal.module.js';
import { AcceptService } from './accept.service.js';
import { Attempts } from './attempts.service.js';
import { Claims } from '../journal/claims.service.js';
import { FailureLog } from './failure-log.js';
import { AbandonedMessages } from './abandoned-messages.service.js';
import { Queue } from './waiting-queue.service.js';
import { UrgentTraffic } from './urgent-traffic.service.js';
import { WaitingService } from './waiting.service.js';

@Module({
  imports: [JournalModule, DeliveryModule],
  providers: [AcceptService, Attempts, Claims, FailureLog, AbandonedMessages, Queue, UrgentTraffic, WaitingService],
  exports: [AcceptService, Claims, UrgentTraffic],
})
export class WaitingModule {}
