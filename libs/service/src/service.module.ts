import { createServer } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { Controller, type DynamicModule, Get, Header, Module } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import { collectDefaultMetrics, register } from 'prom-client';
import { HealthController, Readiness } from './readiness.js';

/** Gauges with the suffix of counters: sums of `nodejs_active_handles` and so on, which a query can add up itself. */
const MISNAMED = ['nodejs_active_handles_total', 'nodejs_active_requests_total', 'nodejs_active_resources_total'];

@ApiTags('operations')
@Controller('metrics')
class MetricsController {
  @Get()
  @Header('content-type', register.contentType)
  @ApiOperation({ summary: 'Prometheus metrics' })
  metrics(): Promise<string> {
    return register.metrics();
  }
}

/** Health and metrics, the same in every app. With `METRICS_PORT` metrics have a port of their own: see `serveMetrics`. */
@Module({})
export class ServiceModule {
  static with({ readiness, METRICS_PORT }: { readiness: Readiness; METRICS_PORT: number | undefined }): DynamicModule {
    collectDefaultMetrics();
    for (const name of MISNAMED) register.removeSingleMetric(name);
    return {
      module: ServiceModule,
      global: true,
      controllers: METRICS_PORT === undefined ? [HealthController, MetricsController] : [HealthController],
      providers: [{ provide: Readiness, useValue: readiness }],
      exports: [Readiness],
    };
  }
}

/**
 * Serves `GET /metrics` alone, until the process ends.
 * @returns the port; the system chooses it for port 0
 */
export async function serveMetrics({ host, port }: { host: string; port: number }): Promise<number> {
  const server = createServer((request, response) => {
    if (request.url !== '/metrics' || request.method !== 'GET') {
      response.writeHead(404).end();
      return;
    }
    register.metrics().then(
      (text) => response.writeHead(200, { 'content-type': register.contentType }).end(text),
      () => response.writeHead(500).end(),
    );
  });
  server.listen(port, host).unref();
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}
