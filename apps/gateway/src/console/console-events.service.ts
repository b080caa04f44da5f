import type { ServerResponse } from 'node:http';
import { type BeforeApplicationShutdown, Injectable, Logger } from '@nestjs/common';
import { AccessTokenVerifier } from '#access-token';
import type { ConsoleEvent } from '#contracts';
import { Readiness } from '#service';
import { EventStreams, type Listener } from '../event-streams.js';
import { POD } from '../message.js';
import { QuotaReportService } from '../quota/quota-report.service.js';
import { PodExchange } from './pod-exchange.service.js';

const EVERY_MS = 1_000;

/** Tells consoles every second how quotas and pods stand: one event for all of them. */
@Injectable()
export class ConsoleEvents implements BeforeApplicationShutdown {
  private readonly logger = new Logger('console');
  private readonly streams: EventStreams;
  private timer: NodeJS.Timeout | undefined;
  private isTelling = false;

  constructor(
    verifier: AccessTokenVerifier,
    private readonly quota: QuotaReportService,
    private readonly pods: PodExchange,
    private readonly readiness: Readiness,
  ) {
    this.streams = new EventStreams(verifier);
  }

  /**
   * Writes an event now and every second.
   * @throws ProblemException `too_many_requests`
   */
  stream(listener: Listener, response: ServerResponse): void {
    this.streams.add(listener, response);
    void this.tell();
    this.timer ??= setInterval(() => void this.tell(), EVERY_MS).unref();
  }

  beforeApplicationShutdown(): void {
    clearInterval(this.timer);
    this.streams.endAll();
  }

  private async tell(): Promise<void> {
    if (this.isTelling) return;
    this.isTelling = true;
    try {
      if (this.streams.size > 0) await this.streams.write(`data: ${JSON.stringify(await this.event())}\n\n`);
    } catch (error) {
      this.logger.error('no event for the consoles', { err: error });
    } finally {
      this.isTelling = false;
    }
    if (this.streams.size > 0) return;
    clearInterval(this.timer);
    this.timer = undefined;
  }

  private async event(): Promise<ConsoleEvent> {
    const [quota, pods, { missing }] = await Promise.all([
      this.quota.report(),
      this.pods.totals(),
      this.readiness.state(),
    ]);
    return { at: new Date().toISOString(), pod: POD, quota, pods, missing };
  }
}
