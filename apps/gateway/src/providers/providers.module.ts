import { Module } from '@nestjs/common';
import { AccountHealth } from './account-health.service.js';
import { ProviderSwitches } from './provider-switches.service.js';
import { ProviderClient } from './provider-client.js';

/** The connections to provider accounts, and their health. */
@Module({
  providers: [ProviderClient, AccountHealth, ProviderSwitches],
  exports: [ProviderClient, AccountHealth, ProviderSwitches],
})
export class ProvidersModule {}
