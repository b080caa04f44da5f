import type { ServerResponse } from 'node:http';
import { Injectable, type BeforeApplicationShutdown } from '@nestjs/common';
import { ProblemException } from '#service';
import { MessageQueries, type Progress } from '../journal/message-queries.service.js';

/** How often it is looked whether something has happened to the messages that are watched. */
const POLL_MS = 500;
/** Proxies cut what is silent: a comment is said that often (HTML, 9.2.7). */
const SILENT_MAX_MS = 15_000;
/** Shorter than a token lives: who watches on asks again, as browsers do by themselves, and says what it was told. */
const STREAM_MAX_MS = 600_000;
/** At this pod. */
const STREAMS_OF_ACCOUNT = 100;

interface Watch {
  id: string;
  accountId: string;
  response: ServerResponse;
  /** How many hops it was told of. */
  told: number;
  startedMs: number;
  spokeMs: number;
}

const OVER = new Set<Progress['status']>(['delivered', 'failed', 'expired', 'cancelled', 'unknown']);

/** Streams of what happens to messages, as server-sent events; one query for all of them. */
@Injectable()
export class MessageEvents implements BeforeApplicationShutdown {
  private readonly watches = new Set<Watch>();
  private timer: NodeJS.Timeout | undefined;
  private isLooking = false;

  constructor(private readonly queries: MessageQueries) {}

  /**
   * Writes an event for each new status until the message is over, beginning with what it is now.
   * @param lastEventId what the caller was told last, if it was told something before
   * @throws ProblemException `too_many_requests`
   */
  stream(record: Progress, response: ServerResponse, caller: { accountId: string; lastEventId: number }): void {
    const { accountId, lastEventId } = caller;
    const own = [...this.watches].filter((watch) => watch.accountId === accountId);
    if (own.length >= STREAMS_OF_ACCOUNT) {
      const detail = `This account watches ${STREAMS_OF_ACCOUNT} messages already. End some of those streams.`;
      throw new ProblemException('too_many_requests', detail, { retryAfterMs: 1_000 });
    }
    // Tells a browser not to ask again.
    if (OVER.has(record.status) && record.hops.length <= lastEventId) return void response.writeHead(204).end();
    response.writeHead(200, {
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
      // Proxies that collect answers would hold the events back.
      'x-accel-buffering': 'no',
    });
    const nowMs = performance.now();
    const told = Math.min(lastEventId, record.hops.length);
    const watch = { id: record.id, accountId, response, told, startedMs: nowMs, spokeMs: nowMs };
    if (response.destroyed) return;
    // Who was told everything hears nothing for now, and is to know all the same that it is heard.
    response.flushHeaders();
    response.once('close', () => this.end(watch));
    this.watches.add(watch);
    this.tell(watch, record);
    if (this.watches.size > 0) this.timer ??= setInterval(() => void this.look(), POLL_MS).unref();
  }

  beforeApplicationShutdown(): void {
    for (const watch of this.watches) this.end(watch);
  }

  private async look(): Promise<void> {
    if (this.isLooking) return;
    this.isLooking = true;
    try {
      const rows = await this.queries.progressOf([...new Set([...this.watches].map(({ id }) => id))]);
      const records = new Map(rows.map((row) => [row.id, row]));
      for (const watch of this.watches) {
        const record = records.get(watch.id);
        if (record !== undefined) this.tell(watch, record);
      }
    } catch {
      // Postgres cannot be asked, which others say; the streams go on when it can.
    } finally {
      this.isLooking = false;
      for (const watch of this.watches) this.keep(watch);
    }
  }

  private tell(watch: Watch, { id, status, provider, reason, costMicros, hops }: Progress): void {
    if (hops.length <= watch.told) return;
    const news = JSON.stringify({ id, status, provider, reason, costMicros, hops: hops.slice(watch.told) });
    watch.told = hops.length;
    watch.spokeMs = performance.now();
    watch.response.write(`id: ${hops.length}\nevent: ${status}\ndata: ${news}\n\n`);
    if (OVER.has(status)) this.end(watch);
  }

  private keep(watch: Watch): void {
    const nowMs = performance.now();
    if (nowMs - watch.startedMs >= STREAM_MAX_MS) return this.end(watch);
    if (nowMs - watch.spokeMs < SILENT_MAX_MS) return;
    watch.spokeMs = nowMs;
    watch.response.write(':\n\n');
  }

  private end(watch: Watch): void {
    this.watches.delete(watch);
    watch.response.end();
    if (this.watches.size > 0) return;
    clearInterval(this.timer);
    this.timer = undefined;
  }
}
