import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { type AxiosAdapter, isAxiosError } from 'axios';
import dispatchRequest from 'axios/unsafe/core/dispatchRequest.js';
import type { Pool } from 'undici';
import type { SendResult } from './answer-reader.js';
import { ExpressionError } from './expressions.js';
import type { Provider } from './providers-file.js';
import type { OutgoingRequest } from './request-template.js';
import {
  type Answer,
  describeFailure,
  NO_HEADERS,
  NotSentError,
  Outgoing,
  undiciAdapter,
  UnreadableAnswerError,
} from './undici-adapter.js';

export interface OutgoingMessage {
  /** Sent as idempotency key: a provider that honours it delivers the same message once. */
  id: string;
  channel: string;
  content: unknown;
  requestId: string;
  traceparent: string;
}

interface Connection {
  adapter: AxiosAdapter;
  /** Undefined through a proxy. */
  counts: () => Pick<Pool['stats'], 'connected' | 'running' | 'queued'> | undefined;
  close: () => Promise<void>;
}

/** Speaks to providers over HTTP. Never throws: every failure is a result. */
@Injectable()
export class ProviderClient implements OnApplicationShutdown {
  private readonly connections = new Map<Provider, Connection>();

  /**
   * The request of a message, rendered from the provider's template.
   * @throws ExpressionError when the message does not fit the template
   */
  render(provider: Provider, message: OutgoingMessage): OutgoingRequest | Promise<OutgoingRequest> {
    const { content, id, channel } = message;
    const rendered = provider.request.render({ message: content, id, channel, account: provider.account });
    return rendered instanceof Promise
      ? rendered.then((r) => stamped(r, provider, message))
      : stamped(rendered, provider, message);
  }

  /** Sends a rendered request. A provider with an idempotency key is asked once more when the answer was lost. */
  async send(provider: Provider, request: OutgoingRequest): Promise<SendResult> {
    const { adapter } = this.connectionTo(provider);
    const first = await exchange(provider, adapter, new Outgoing(request));
    if (first.outcome !== 'unknown' || !provider.idempotent) return first;
    const repeatedAtMs = performance.now();
    const repeated = await exchange(provider, adapter, new Outgoing(request, true));
    return { ...afterLostAnswer(first, repeated), repeatedAtMs };
  }

  /** Connections and requests of each account that was sent to. */
  connectionCounts(): { key: string; connected: number; running: number; queued: number }[] {
    return [...this.connections].flatMap(([{ key }, { counts }]) => {
      const { connected, running, queued } = counts() ?? {};
      return connected === undefined ? [] : [{ key, connected, running: running ?? 0, queued: queued ?? 0 }];
    });
  }

  /** Closes the connections to providers that are no longer in use, once their requests have ended. */
  async closeAllBut(providers: readonly Provider[]): Promise<void> {
    const unused = [...this.connections].filter(([provider]) => !providers.includes(provider));
    for (const [provider] of unused) this.connections.delete(provider);
    await Promise.all(unused.map(([, connection]) => connection.close()));
  }

  async onApplicationShutdown(): Promise<void> {
    await this.closeAllBut([]);
  }

  private connectionTo(provider: Provider): Connection {
    const known = this.connections.get(provider);
    if (known !== undefined) return known;
    const opened = undiciAdapter(provider.request.origin, provider.timeoutMs, provider.proxyUrl);
    this.connections.set(provider, opened);
    return opened;
  }
}

/** Adds the headers that every message has. */
function stamped(
  { method, path, headers, body }: OutgoingRequest,
  { idempotencyHeader }: Provider,
  { id, requestId, traceparent }: OutgoingMessage,
): OutgoingRequest {
  const all = headers.slice();
  if (idempotencyHeader !== undefined) all.push(idempotencyHeader, id);
  all.push('x-request-id', requestId, 'traceparent', traceparent);
  return { method, path, headers: all, body };
}

/** The provider may have accepted the first request, although the repeated one did not reach it or failed. */
function afterLostAnswer(first: SendResult, repeated: SendResult): SendResult {
  if (repeated.outcome === 'notSent') return first;
  // 409 of a repetition: the first request is in progress (draft-ietf-httpapi-idempotency-key-header).
  const saysNothing = repeated.outcome === 'refused' || repeated.outcome === 'failed' || repeated.httpStatus === 409;
  if (repeated.outcome === 'delivered' || repeated.outcome === 'unknown' || !saysNothing) return repeated;
  const reason = `${repeated.reason} to a repetition after a lost answer`;
  return { outcome: 'unknown', httpStatus: repeated.httpStatus, reason, settlement: repeated.settlement };
}

async function exchange(
  { readAnswer, readAnnouncement }: Provider,
  adapter: AxiosAdapter,
  data: Outgoing,
): Promise<SendResult> {
  try {
    const { status, data: answer } = await dispatchRequest<Answer>({ adapter, headers: NO_HEADERS, data });
    return await readAnswer(status, answer, readAnnouncement);
  } catch (error) {
    const cause: unknown = isAxiosError(error) ? (error.cause ?? error) : error;
    // The status of a failure says enough.
    const isFailure = cause instanceof UnreadableAnswerError && (cause.status < 200 || cause.status > 299);
    return isFailure
      ? readAnswer(cause.status, { headers: cause.headers, text: '' }, readAnnouncement)
      : explain(cause);
  }
}

function explain(cause: unknown): SendResult {
  const reason = describeFailure(cause);
  if (cause instanceof NotSentError) {
    return { outcome: 'notSent', httpStatus: null, reason, settlement: { outcome: 'notSent' } };
  }
  // The provider answered, so it has most likely counted the request.
  if (cause instanceof UnreadableAnswerError) {
    return { outcome: 'failed', httpStatus: cause.status, reason, settlement: { outcome: 'unknown' } };
  }
  return { outcome: 'unknown', httpStatus: null, reason, settlement: { outcome: 'unknown' } };
}

/** A message that does not fit the template of a provider: nothing was sent. */
export function notRendered(error: unknown): SendResult {
  if (!(error instanceof ExpressionError)) throw error;
  return { outcome: 'notSent', httpStatus: null, reason: error.message, settlement: { outcome: 'notSent' } };
}
