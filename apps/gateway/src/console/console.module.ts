import { Module } from '@nestjs/common';
import { ConsoleController } from './console.controller.js';
import { ConsoleEvents } from './console-events.service.js';
import { MessageTally } from './message-tally.js';
import { PodExchange } from './pod-exchange.service.js';

/** What the console needs beside the API that every client uses. */
@Module({ controllers: [ConsoleController], providers: [ConsoleEvents, MessageTally, PodExchange] })
export class ConsoleModule {}
