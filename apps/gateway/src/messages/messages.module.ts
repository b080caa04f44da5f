import { Module } from '@nestjs/common';
import { DeliveryModule } from '../delivery/delivery.module.js';
import { JournalModule } from '../journal/journal.module.js';
import { WaitingModule } from '../waiting/waiting.module.js';
import { StoredMessages } from './stored-messages.service.js';
import { MessageEvents } from './message-events.service.js';
import { MessageLimits } from './message-limits.service.js';
import { MessagesController } from './messages.controller.js';
import { SendMessageService } from './send-message.service.js';
import { WaitingLimits } from './waiting-limits.service.js';

@Module({
  imports: [JournalModule, DeliveryModule, WaitingModule],
  controllers: [MessagesController],
  providers: [SendMessageService, StoredMessages, MessageEvents, MessageLimits, WaitingLimits],
  exports: [MessageLimits],
})
export class MessagesModule {}
