import { Module } from '@nestjs/common';
import { ProviderClient } from '../providers/provider-client.js';
import { MessageLimits } from './message-limits.js';
import { MessagesController } from './messages.controller.js';
import { SendMessageService } from './send-message.service.js';

@Module({ controllers: [MessagesController], providers: [SendMessageService, ProviderClient, MessageLimits] })
export class MessagesModule {}
