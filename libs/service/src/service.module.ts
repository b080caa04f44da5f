import { Global, Module } from '@nestjs/common';
import { MetricsController } from './metrics.controller.js';
import { HealthController, Readiness } from './readiness.js';

/** Health and metrics, the same in every app. */
@Global()
@Module({ controllers: [HealthController, MetricsController], providers: [Readiness], exports: [Readiness] })
export class ServiceModule {}
