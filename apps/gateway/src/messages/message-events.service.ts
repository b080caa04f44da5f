import type { ServerResponse } from 'node:http';
import { Injectable, type BeforeApplicationShutdown } from '@nestjs/common';
import type { MessageRecord } from '#contracts';
import { MessageQueries } from '../journal/message-queries.service.js';
import { recordOf } from '../journal/message-record.js';

/** How often it is looked whether something has happened to the messages that are watched. */
const LOOK_MS = 500;

interface Watch {
  id: string;
  response: ServerResponse;
  /** How many hops it was told of. */
  told: number;
}

const OVER = new Set<MessageRecord['status']>(['delivered', 'failed', 'expired', 'cancelled', 'unknown']);

/** Streams of what happens to messages, as server-sent events; one query for all of them. */
@Injectable()
export class MessageEvents implements BeforeApplicationShutdown {
  private readonly watches = new Set<Watch>();
  private timer: NodeJS.Timeout | undefined;
  private isLooking = false;

  constructor(private readonly queries: MessageQueries) {}

  /** Writes an event for each new status until the message is over, beginning with what it is now. */
  stream(record: MessageRecord, response: ServerResponse): void {
    response.writeHead(200, {
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
      // Proxies that collect answers would hold the events back.
      'x-accel-buffering': 'no',
    });
    const watch: Watch = { id: record.id, response, told: 0 };
    response.once('close', () => this.end(watch));
    this.watches.add(watch);
    this.tell(watch, record);
    if (this.watches.size > 0) this.timer ??= setInterval(() => void this.look(), LOOK_MS).unref();
  }

  beforeApplicationShutdown(): void {
    for (const watch of this.watches) this.end(watch);
  }

  private async look(): Promise<void> {
    if (this.isLooking) return;
    this.isLooking = true;
    try {
      const rows = await this.queries.findAll([...new Set([...this.watches].map(({ id }) => id))]);
      const records = new Map(rows.map((row) => [row.id, recordOf(row)]));
      for (const watch of this.watches) {
        const record = records.get(watch.id);
        if (record !== undefined) this.tell(watch, record);
      }
    } catch {
      // Postgres is down, which others say; the streams go on when it is back.
    } finally {
      this.isLooking = false;
    }
  }

  private tell(watch: Watch, { id, status, provider, reason, costMicros, hops }: MessageRecord): void {
    if (hops.length <= watch.told) return;
    const news = JSON.stringify({ id, status, provider, reason, costMicros, hops: hops.slice(watch.told) });
    watch.told = hops.length;
    watch.response.write(`id: ${hops.length}\nevent: ${status}\ndata: ${news}\n\n`);
    if (OVER.has(status)) this.end(watch);
  }

  private end(watch: Watch): void {
    this.watches.delete(watch);
    watch.response.end();
    if (this.watches.size > 0) return;
    clearInterval(this.timer);
    this.timer = undefined;
  }
}
