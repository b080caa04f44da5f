import { Inject, Injectable, type OnApplicationShutdown } from '@nestjs/common';
import axios, { type AxiosInstance } from 'axios';
import { providerAnswerSchema } from '#contracts';
import { readAnnouncement, type Settlement } from '#quota';
import type { Provider, ProvidersFile } from './providers-file.js';
import { PROVIDERS } from './providers.token.js';
import { TimeoutError, undiciAdapter, wasNotSent } from './undici-adapter.js';

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
  client: AxiosInstance;
  path: string;
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
      const answer = await connection.client.post<string>(connection.path, JSON.stringify({ message: message.text }), {
        headers: {
          'idempotency-key': message.id,
          'x-request-id': message.requestId,
          traceparent: message.traceparent,
        },
      });
      return read(answer);
    } catch (error) {
      return explain(error);
    }
  }

  async onApplicationShutdown(): Promise<void> {
    await Promise.all([...this.connections.values()].map((connection) => connection.close()));
  }
}

function connect({ url, timeoutMs, headers }: Provider): Connection {
  const { origin, pathname, search } = new URL(url);
  // Shorter than the whole: a provider that cannot be reached is then told from one that does not answer.
  const { adapter, close } = undiciAdapter(origin, { connectTimeoutMs: Math.ceil(timeoutMs * 0.75) });
  const client = axios.create({
    adapter,
    timeout: timeoutMs,
    headers: { ...headers, 'content-type': 'application/json', accept: 'application/json' },
    // The answer is parsed where it is understood; every status is an answer.
    transformRequest: (body: string) => body,
    transformResponse: (body: string) => body,
    validateStatus: () => true,
  });
  return { client, path: pathname + search, close };
}

function read({ status, headers, data }: { status: number; headers: object; data: string }): SendResult {
  const announced = readAnnouncement({ ...headers });
  if (status === 429) {
    return { outcome: 'refused', httpStatus: status, settlement: { outcome: 'refused', announced } };
  }
  // An error of the provider's own: it may have counted the request before it failed.
  if (status < 200 || status > 299)
    return { outcome: 'failed', httpStatus: status, settlement: { outcome: 'unknown' } };
  const response = responseOf(data);
  const settlement = { outcome: 'accepted', announced } as const;
  if (response === undefined) return { outcome: 'failed', httpStatus: status, settlement };
  return { outcome: 'delivered', httpStatus: status, response, settlement };
}

function responseOf(data: string): string | undefined {
  try {
    return providerAnswerSchema.parse(JSON.parse(data)).response;
  } catch {
    // Not the contract: the caller is told that the provider failed.
    return undefined;
  }
}

function explain(error: unknown): SendResult {
  const cause: unknown = axios.isAxiosError(error) ? (error.cause ?? error) : error;
  if (!(cause instanceof TimeoutError) && wasNotSent(cause)) {
    return { outcome: 'failed', httpStatus: null, settlement: { outcome: 'notSent' } };
  }
  return { outcome: 'unknown', httpStatus: null, settlement: { outcome: 'unknown' } };
}
