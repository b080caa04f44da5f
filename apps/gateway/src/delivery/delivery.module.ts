import { Module } from '@nestjs/common';
import { AccountHealth } from '../providers/account-health.service.js';
import { ProviderClient } from '../providers/provider-client.js';
import { DeliveryService } from './delivery.service.js';

@Module({
  providers: [DeliveryService, ProviderClient, AccountHealth],
  exports: [DeliveryService, AccountHealth],
})
export class DeliveryModule {}
