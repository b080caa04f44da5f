import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import type { FastifyInstance } from 'fastify';
import { register } from 'prom-client';
import type { PodTotals } from '#contracts';
import { POD } from '../message.js';

const REFUSED = new Set([402, 403, 429, 503]);
const FAILED = new Set([422, 502, 504]);

/** What this pod has done with messages. Nothing is counted while a message is on its way: see `observeAnswers`. */
export class MessageTally {
  private readonly startedAt = new Date().toISOString();
  private waiting = 0;
  private refused = 0;
  private failed = 0;

  /** @param status of an answer to `POST /messages` */
  count(status: number): void {
    if (status === 202) this.waiting += 1;
    else if (REFUSED.has(status)) this.refused += 1;
    else if (FAILED.has(status)) this.failed += 1;
  }

  async totals(): Promise<PodTotals> {
    const { startedAt, waiting, refused, failed } = this;
    return { pod: POD, startedAt, delivered: await deliveredByProvider(), waiting, refused, failed };
  }
}

/** Counts answers after they were sent. Deliveries come from a metric, which has those of waiting messages as well. */
export function observeAnswers(app: NestFastifyApplication): void {
  const fastify: FastifyInstance = app.getHttpAdapter().getInstance();
  const tally = app.get(MessageTally, { strict: false });
  fastify.addHook('onResponse', (request, reply, done) => {
    if (request.method === 'POST' && request.routeOptions.url === '/messages') tally.count(reply.statusCode);
    done();
  });
}

async function deliveredByProvider(): Promise<Record<string, number>> {
  const attempts = await register.getSingleMetric('octo_attempts_total')?.get();
  const delivered = attempts?.values.filter(({ labels }) => labels['outcome'] === 'delivered') ?? [];
  return Object.fromEntries(delivered.map(({ labels, value }) => [String(labels['provider']), value]));
}
