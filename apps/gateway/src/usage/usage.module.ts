import { Module } from '@nestjs/common';
import { JournalModule } from '../journal/journal.module.js';
import { UsageController } from './usage.controller.js';
import { UsageService } from './usage.service.js';

@Module({ imports: [JournalModule], controllers: [UsageController], providers: [UsageService] })
export class UsageModule {}
