import { Module } from '@nestjs/common';
import { MoneyModule } from '../money/money.module.js';
import { ProvidersModule } from '../providers/providers.module.js';
import { DeliveryService } from './delivery.service.js';

@Module({
  imports: [ProvidersModule, MoneyModule],
  providers: [DeliveryService],
  exports: [DeliveryService],
})
export class DeliveryModule {}
