import { Module } from '@nestjs/common';
import { ProviderClient } from '../providers/provider-client.js';
import { DeliveryService } from './delivery.service.js';

@Module({
  providers: [DeliveryService, ProviderClient],
  exports: [DeliveryService],
})
export class DeliveryModule {}
