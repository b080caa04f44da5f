import { Inject, Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { type AxiosAdapter, isAxiosError } from 'axios';
import dispatchRequest from 'axios/unsafe/core/dispatchRequest.js';
import { z } from 'zod';
import { readAnnouncement, type Settlement } from '#quota';
import { type Provider, PROVIDERS, type ProvidersFile } from './providers-file.js';
import { type Answer, describeFailure, NO_HEADERS, Outgoing, undiciAdapter, wasNotSent } from './undici-adapter.js';

export interface OutgoingMessage {
  /** Sent as idempotency key: a provider that honours it delivers the same message once. */
  id: string;
  text: string;
  requestId: string;
  traceparent: string;
}

/** The result of one send, for the caller and for the quota. `reason` is for people and names no host. */
export type SendResult = { settlement: Settlement } & (
  | { outcome: 'delivered'; httpStatus: number; response: string }
  | { outcome: 'refused'; httpStatus: number; reason: string }
  | { outcome: 'failed'; httpStatus: number | null; reason: string }
  | { outcome: 'unknown'; httpStatus: null; reason: string }
);

interface Connection {
  adapter: AxiosAdapter;
  /** The headers that every request has: names and values in turn. */
  headers: string[];
  close: () => Promise<void>;
}

/** Speaks to providers over HTTP. Never throws: every failure is a result. */
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

/** The headers of the providers file, except those that the gateway sets itself. */
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
    const settlement = { outcome: 'refused', announced } as const;
    return { outcome: 'refused', httpStatus: status, reason: 'HTTP 429', settlement };
  }
  // The provider may have counted the request before it failed.
  if (status < 200 || status > 299) {
    return { outcome: 'failed', httpStatus: status, reason: `HTTP ${status}`, settlement: { outcome: 'unknown' } };
  }
  const settlement = { outcome: 'accepted', announced } as const;
  const answer = parseAnswer(text);
  if (!answer.isValid) return { outcome: 'failed', httpStatus: status, reason: answer.reason, settlement };
  return { outcome: 'delivered', httpStatus: status, response: answer.response, settlement };
}

const answerSchema = z.object({
  ok: z.literal(true, 'answer lacks ok: true'),
  response: z.string('answer lacks a response text'),
});

function parseAnswer(text: string): { isValid: true; response: string } | { isValid: false; reason: string } {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    return { isValid: false, reason: 'answer is not JSON' };
  }
  const { success, data, error } = answerSchema.safeParse(body);
  if (success) return { isValid: true, response: data.response };
  return {
    isValid: false,
    reason: error.issues[0]?.path.length ? error.issues[0].message : 'answer is no JSON object',
  };
}

function explain(error: unknown): SendResult {
  const cause: unknown = isAxiosError(error) ? (error.cause ?? error) : error;
  const reason = describeFailure(cause);
  if (wasNotSent(cause)) return { outcome: 'failed', httpStatus: null, reason, settlement: { outcome: 'notSent' } };
  return { outcome: 'unknown', httpStatus: null, reason, settlement: { outcome: 'unknown' } };
}
