import { Inject, Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { type AxiosAdapter, isAxiosError } from 'axios';
import dispatchRequest from 'axios/unsafe/core/dispatchRequest.js';
import { providerAnswerSchema } from '#contracts';
import { readAnnouncement, type Settlement } from '#quota';
import type { Provider, ProvidersFile } from './providers-file.js';
import { PROVIDERS } from './providers.token.js';
import { type Answer, NO_HEADERS, Outgoing, TimeoutError, undiciAdapter, wasNotSent } from './undici-adapter.js';

export interface OutgoingMessage {
  /** Sent as idempotency key: the same message twice is delivered once by a provider that honours it. */
  id: string;
  text: string;
  requestId: string;
  traceparent: string;
}

/** What came of one send, for the caller, and for the quota. */
export type SendResult = { settlement: Settlement } & (
  | { outcome: 'delivered'; httpStatus: number; response: string }
  | { outcome: 'refused'; httpStatus: number }
  | { outcome: 'failed'; httpStatus: number | null }
  | { outcome: 'unknown'; httpStatus: null }
);

interface Connection {
  adapter: AxiosAdapter;
  /** The same in every request: names and values in turn. */
  headers: string[];
  close: () => Promise<void>;
}

/** Speaks to providers. Never throws: whatever happens is a result. */
@Injectable()
export class ProviderClient implements OnApplicationShutdown {
  private readonly connections: ReadonlyMap<string, Connection>;

  constructor(@Inject(PROVIDERS) { providers }: ProvidersFile) {
    this.connections = new Map(providers.map((provider) => [provider.name, connect(provider)]));
  }

  async send(provider: Provider, message: OutgoingMessage): Promise<SendResult> {
    const connection = this.connections.get(provider.name);
    if (connection === undefined) throw new RangeError(`no connection for provider "${provider.name}"`);
    try {
      const data = outgoing(message, connection.headers);
      return read(await dispatchRequest<Answer>({ adapter: connection.adapter, headers: NO_HEADERS, data }));
    } catch (error) {
      return explain(error);
    }
  }

  async onApplicationShutdown(): Promise<void> {
    await Promise.all([...this.connections.values()].map((connection) => connection.close()));
  }
}

function connect({ url, timeoutMs, headers }: Provider): Connection {
  const { adapter, close } = undiciAdapter(url, timeoutMs);
  return { adapter, headers: headersOf(headers), close };
}

/** Those of the providers file, except where they would contradict ours. */
function headersOf(configured: Provider['headers']): string[] {
  const given = Object.entries(configured).filter(([name]) => !OWN_HEADERS.has(name.toLowerCase()));
  return ['content-type', 'application/json', 'accept', 'application/json', ...given.flat()];
}

const OWN_HEADERS = new Set(['content-type', 'accept', 'idempotency-key', 'x-request-id', 'traceparent']);

function outgoing({ id, text, requestId, traceparent }: OutgoingMessage, always: readonly string[]): Outgoing {
  const own = ['idempotency-key', id, 'x-request-id', requestId, 'traceparent', traceparent];
  return new Outgoing(JSON.stringify({ message: text }), [...always, ...own]);
}

function read({ status, data: { headers, text } }: { status: number; data: Answer }): SendResult {
  const announced = readAnnouncement(headers);
  if (status === 429) {
    return { outcome: 'refused', httpStatus: status, settlement: { outcome: 'refused', announced } };
  }
  // An error of the provider's own: it may have counted the request before it failed.
  if (status < 200 || status > 299)
    return { outcome: 'failed', httpStatus: status, settlement: { outcome: 'unknown' } };
  const response = responseOf(text);
  const settlement = { outcome: 'accepted', announced } as const;
  if (response === undefined) return { outcome: 'failed', httpStatus: status, settlement };
  return { outcome: 'delivered', httpStatus: status, response, settlement };
}

function responseOf(text: string): string | undefined {
  try {
    return providerAnswerSchema.parse(JSON.parse(text)).response;
  } catch {
    // Not the contract: the caller is told that the provider failed.
    return undefined;
  }
}

function explain(error: unknown): SendResult {
  const cause: unknown = isAxiosError(error) ? (error.cause ?? error) : error;
  if (!(cause instanceof TimeoutError) && wasNotSent(cause)) {
    return { outcome: 'failed', httpStatus: null, settlement: { outcome: 'notSent' } };
  }
  return { outcome: 'unknown', httpStatus: null, settlement: { outcome: 'unknown' } };
}
