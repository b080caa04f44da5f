import type { ServerResponse } from 'node:http';
import type { AccessTokenVerifier } from '#access-token';
import { ProblemException } from '#service';

/** EventSource reconnects after that. */
const STREAM_MAX_MS = 600_000;
/** Most streams of one account at one pod. */
const STREAMS_MAX = 100;
/** A client that lets this much wait in memory does not read its stream. */
const UNREAD_MAX_BYTES = 1_048_576;

export interface Listener {
  accountId: string;
  /** The access token or API key of the request. The stream ends when it is not valid any more. */
  token: string;
}

interface Open {
  listener: Listener;
  response: ServerResponse;
  startedMs: number;
}

/** Server-sent events that go to several listeners alike. */
export class EventStreams {
  private readonly open = new Set<Open>();

  constructor(private readonly verifier: Pick<AccessTokenVerifier, 'verify'>) {}

  get size(): number {
    return this.open.size;
  }

  /** @throws ProblemException `too_many_requests` */
  add(listener: Listener, response: ServerResponse): void {
    const own = [...this.open].filter((stream) => stream.listener.accountId === listener.accountId);
    if (own.length >= STREAMS_MAX) {
      const detail = `This account has ${STREAMS_MAX} open event streams. Close some of them.`;
      throw new ProblemException('too_many_requests', detail, { retryAfterMs: 1_000 });
    }
    response.writeHead(200, {
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
      // Proxies that buffer answers would hold the events back.
      'x-accel-buffering': 'no',
    });
    if (response.destroyed) return;
    response.flushHeaders();
    const stream = { listener, response, startedMs: performance.now() };
    response.once('close', () => this.open.delete(stream));
    this.open.add(stream);
  }

  /** Writes to every stream whose token is valid, and ends those whose token was revoked or has expired. */
  async write(text: string): Promise<void> {
    const streams = [...this.open];
    const verifications = await Promise.all(streams.map(async ({ listener }) => this.verifier.verify(listener.token)));
    for (const [index, stream] of streams.entries()) {
      const outcome = verifications[index]?.outcome;
      if (outcome === 'valid') stream.response.write(text);
      // While a token cannot be checked, its stream has comments only.
      else if (outcome === 'undecided') stream.response.write(':\n\n');
      if (outcome === 'refused' || isOver(stream)) this.end(stream);
    }
  }

  endAll(): void {
    for (const stream of this.open) this.end(stream);
  }

  private end(stream: Open): void {
    this.open.delete(stream);
    stream.response.end();
  }
}

function isOver({ startedMs, response }: Open): boolean {
  return performance.now() - startedMs >= STREAM_MAX_MS || response.writableLength > UNREAD_MAX_BYTES;
}
