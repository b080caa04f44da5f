import { Module } from '@nestjs/common';
import { ProvidersModule } from '../providers/providers.module.js';
import { DeliveryService } from './delivery.service.js';

@Module({
  imports: [ProvidersModule],
  providers: [DeliveryService],
  exports: [DeliveryService],
})
export class DeliveryModule {}
