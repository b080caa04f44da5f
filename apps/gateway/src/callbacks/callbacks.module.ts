import { Module } from '@nestjs/common';
import { type GatewaySettings, SETTINGS } from '../gateway.settings.js';
import { CallbackDelivery } from './callback-delivery.service.js';
import { PendingCallbacks } from './pending-callbacks.service.js';

@Module({
  providers: [
    PendingCallbacks,
    {
      provide: CallbackDelivery,
      inject: [PendingCallbacks, SETTINGS],
      useFactory: (pending: PendingCallbacks, settings: GatewaySettings) => new CallbackDelivery(pending, { settings }),
    },
  ],
  exports: [CallbackDelivery],
})
export class CallbacksModule {}
