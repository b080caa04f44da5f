import type { ServerResponse } from 'node:http';
import { Injectable, type BeforeApplicationShutdown } from '@nestjs/common';
import { AccessTokenVerifier } from '#access-token';
import { ProblemException } from '#service';
import { MessageQueries } from '../journal/message-queries.service.js';
import { type Progress, progressOf } from './answers.js';

/** Poll interval for watched messages. */
const POLL_MS = 500;
/** Proxies close silent connections: the stream sends a comment this often (HTML, 9.2.7). */
const KEEP_ALIVE_MS = 15_000;
/** EventSource reconnects with `Last-Event-ID`. */
const STREAM_MAX_MS = 600_000;
/** Most streams of one account at one pod. */
const STREAMS_MAX = 100;

interface Stream {
  id: string;
  accountId: string;
  /** The access token or API key of the request. The stream ends when it is not valid any more. */
  token: string;
  response: ServerResponse;
  /** How many hops the client has received. */
  sentHops: number;
  startedMs: number;
  wroteMs: number;
}

const ENDED = new Set<Progress['status']>(['delivered', 'failed', 'expired', 'cancelled', 'unknown']);

/** Server-sent events of what happens to messages. One query polls for all streams. */
@Injectable()
export class MessageEvents implements BeforeApplicationShutdown {
  private readonly streams = new Set<Stream>();
  private timer: NodeJS.Timeout | undefined;
  private isPolling = false;

  constructor(
    private readonly queries: MessageQueries,
    private readonly verifier: AccessTokenVerifier,
  ) {}

  /**
   * Writes an event whenever the message has new hops, until it has ended, starting with its status now.
   * @param lastEventId the last event the client received, 0 for none
   * @throws ProblemException `too_many_requests`
   */
  stream(
    record: Progress,
    response: ServerResponse,
    caller: { accountId: string; token: string; lastEventId: number },
  ): void {
    const { accountId, token, lastEventId } = caller;
    const own = [...this.streams].filter((stream) => stream.accountId === accountId);
    if (own.length >= STREAMS_MAX) {
      const detail = `This account has ${STREAMS_MAX} open event streams. Close some of them.`;
      throw new ProblemException('too_many_requests', detail, { retryAfterMs: 1_000 });
    }
    // 204 stops a browser's EventSource from reconnecting.
    if (ENDED.has(record.status) && record.hops.length <= lastEventId) return void response.writeHead(204).end();
    response.writeHead(200, {
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
      // Proxies that buffer answers would hold the events back.
      'x-accel-buffering': 'no',
    });
    const nowMs = performance.now();
    const sentHops = Math.min(lastEventId, record.hops.length);
    const stream = { id: record.id, accountId, token, response, sentHops, startedMs: nowMs, wroteMs: nowMs };
    if (response.destroyed) return;
    // Flush now; an up-to-date client would otherwise receive no bytes.
    response.flushHeaders();
    response.once('close', () => this.end(stream));
    this.streams.add(stream);
    this.write(stream, record);
    if (this.streams.size > 0) this.timer ??= setInterval(() => void this.poll(), POLL_MS).unref();
  }

  beforeApplicationShutdown(): void {
    for (const stream of this.streams) this.end(stream);
  }

  private async poll(): Promise<void> {
    if (this.isPolling) return;
    this.isPolling = true;
    try {
      const allowed = await this.endRevoked();
      const ids = [...new Set(allowed.map(({ id }) => id))];
      const records = new Map((await this.queries.progressOf(ids)).map((stored) => [stored.id, progressOf(stored)]));
      for (const stream of allowed.filter((candidate) => this.streams.has(candidate))) {
        const record = records.get(stream.id);
        if (record !== undefined) this.write(stream, record);
      }
    } catch {
      // Postgres is down, which the journal logs. The streams go on when it is back.
    } finally {
      this.isPolling = false;
      for (const stream of this.streams) this.keepAlive(stream);
    }
  }

  /**
   * Ends the streams whose token was revoked or has expired.
   * @returns the streams whose token is valid: while a token cannot be checked, its stream is silent
   */
  private async endRevoked(): Promise<Stream[]> {
    const streams = [...this.streams];
    const verifications = await Promise.all(streams.map(async ({ token }) => this.verifier.verify(token)));
    return streams.filter((stream, i) => {
      const outcome = verifications[i]?.outcome;
      if (outcome === 'refused') this.end(stream);
      return outcome === 'valid';
    });
  }

  private write(stream: Stream, { id, status, provider, reason, costMicros, hops }: Progress): void {
    if (hops.length <= stream.sentHops) return;
    const data = JSON.stringify({ id, status, provider, reason, costMicros, hops: hops.slice(stream.sentHops) });
    stream.sentHops = hops.length;
    stream.wroteMs = performance.now();
    stream.response.write(`id: ${hops.length}\nevent: ${status}\ndata: ${data}\n\n`);
    if (ENDED.has(status)) this.end(stream);
  }

  private keepAlive(stream: Stream): void {
    const nowMs = performance.now();
    if (nowMs - stream.startedMs >= STREAM_MAX_MS) return this.end(stream);
    if (nowMs - stream.wroteMs < KEEP_ALIVE_MS) return;
    stream.wroteMs = nowMs;
    stream.response.write(':\n\n');
  }

  private end(stream: Stream): void {
    this.streams.delete(stream);
    stream.response.end();
    if (this.streams.size > 0) return;
    clearInterval(this.timer);
    this.timer = undefined;
  }
}
